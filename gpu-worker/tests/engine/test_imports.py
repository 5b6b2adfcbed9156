"""What each side may load: the engine process no platform, the I/O process no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("parley_worker.scheduler.scheduler", "torch"),
        ("parley_worker.backends.torch", "torch"),
        ("parley_worker.backends.scripted", "tokenizers"),
        ("parley_worker.generate", "torch"),
        ("parley_worker.engine.startup", "parley_kit"),
        ("parley_worker.engine.startup", "tokenizers"),
    ],
)
def test_a_side_does_not_load_what_belongs_to_the_other(module: str, forbidden: str) -> None:
    code = f"import sys, {module}; sys.exit({forbidden!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=50).returncode == 0

"""What each side may load: the engine process no platform, the I/O process no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("modules", "forbidden"),
    [
        ("parley_worker.scheduler.scheduler, parley_worker.backends.torch, parley_worker.generate", {"torch"}),
        ("parley_worker.backends.scripted", {"torch", "tokenizers"}),
        ("parley_worker.engine.startup", {"parley_kit", "tokenizers"}),
    ],
)
def test_a_side_does_not_load_what_belongs_to_the_other(modules: str, forbidden: set[str]) -> None:
    code = f"import sys, {modules}; sys.exit(bool({forbidden!r} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=50).returncode == 0

"""The folders are the architecture: who may import whom is in the root pyproject.toml, under importlinter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def test_the_import_rules_hold() -> None:
    done = subprocess.run([LINT_IMPORTS, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "module",
    ["parley_worker.bootstrap", "parley_worker.scheduler", "parley_standalone.cli", "parley_gateway.bootstrap"],
)
def test_no_torch_outside_the_engine(module: str) -> None:
    """Policy and I/O stay importable in milliseconds, and in an image without torch."""
    script = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

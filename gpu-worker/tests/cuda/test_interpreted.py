"""The kernels in Triton's interpreter, on a CPU: in a process of its own, as it is switched on before the import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUITES = sorted((Path(__file__).parent / "interpreted").glob("suite_*.py"))


# A process with a suite of tests, each of which has its 60 s.
@pytest.mark.timeout(300)
@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.stem.removeprefix("suite_"))
def test_interpreted(suite: Path) -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(suite)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=290)
    assert run.returncode == 0, run.stdout + run.stderr

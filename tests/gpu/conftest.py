"""Tests that need a CUDA device. Where there is none they are not collected, and the report says so."""

from __future__ import annotations

from pathlib import Path

import pytest

HAS_DEVICE = Path("/dev/nvidiactl").exists()
collect_ignore_glob = [] if HAS_DEVICE else ["test_*.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not HAS_DEVICE:
        terminalreporter.write_line("tests/gpu: no CUDA device; start `pytest tests/gpu` on a machine with one")

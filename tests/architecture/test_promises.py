"""Each promise in docs/architecture.md names the tests that hold it, and they are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMISES = [f"R{number}" for number in range(1, 10)]


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_names_tests_that_exist(promise: str) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith(f"| {promise} "))
    named = re.findall(r"`(\S+\.py)`", row)
    assert named
    for path in named:
        assert "def test_" in (ROOT / path).read_text(), path

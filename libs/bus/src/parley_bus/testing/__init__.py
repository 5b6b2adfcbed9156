"""The contract of the bus as tests, for every adapter to run."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "parley_bus.testing.contract",
    "parley_bus.testing.harness",
    "parley_bus.testing.groups",
    "parley_bus.testing.records",
)

"""The contract of the hot state as tests, for every adapter to run."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "parley_live.testing.cancels",
    "parley_live.testing.fencing",
    "parley_live.testing.harness",
    "parley_live.testing.limits",
    "parley_live.testing.revocations",
    "parley_live.testing.servers",
    "parley_live.testing.streams",
)

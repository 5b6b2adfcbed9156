"""The contract of the stores as tests, for every adapter to run."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("parley_auth.testing.families", "parley_auth.testing.users")

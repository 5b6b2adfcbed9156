"""The contracts of the stores as tests, for every adapter to run."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "parley_conversation.testing.chat_log",
    "parley_conversation.testing.conversations",
    "parley_conversation.testing.endings",
    "parley_conversation.testing.generations",
    "parley_conversation.testing.leases",
    "parley_conversation.testing.models",
    "parley_conversation.testing.search",
    "parley_conversation.testing.sweeping",
)

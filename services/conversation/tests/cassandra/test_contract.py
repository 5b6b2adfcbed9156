"""The chat log in Cassandra keeps every promise of its port."""

from __future__ import annotations

import pytest

from parley_conversation.ports import ChatLog
from parley_conversation.testing.contract import ChatLogContract


class TestCassandraChatLog(ChatLogContract):
    @pytest.fixture
    def chat_log(self, chat_log: ChatLog) -> ChatLog:
        """The real one, in place of the harness's."""
        return chat_log

"""The chat log in Cassandra keeps every promise of its port."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from parley_conversation.adapters.cassandra import open_chat_log
from parley_conversation.ports import ChatLog
from parley_conversation.settings import ConversationSettings
from parley_conversation.testing.contract import ChatLogContract
from parley_kit.ids import new_id


@pytest.fixture(scope="session")
def keyspace() -> str:
    """One for the run: each test has conversations of its own, and a schema takes seconds."""
    return f"test_{new_id().replace('-', '')}"


@pytest.fixture
async def chat_log(cassandra: str, keyspace: str) -> AsyncIterator[ChatLog]:
    settings = ConversationSettings.load(service_token="x" * 32, cassandra_hosts=cassandra, cassandra_keyspace=keyspace)
    async with open_chat_log(settings) as log:
        yield log


class TestCassandraChatLog(ChatLogContract):
    @pytest.fixture
    def chat_log(self, chat_log: ChatLog) -> ChatLog:
        return chat_log

"""A keyspace of the run's own on the real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from cassandra.cluster import Session

from parley_conversation.adapters.cassandra import open_chat_log
from parley_conversation.adapters.cassandra.connection import Target, close, connect
from parley_conversation.ports import ChatLog
from parley_conversation.settings import ConversationSettings
from parley_kit.ids import new_id

SECONDS = 20


@pytest.fixture(scope="session")
def driver(cassandra: str) -> Iterator[Session]:
    """The bare driver, to look behind the adapter. Blocks."""
    session = connect(Target.parse(cassandra, "unused", "datacenter1", 1))
    yield session
    close(session)


@pytest.fixture(scope="session")
def keyspace(driver: Session) -> Iterator[str]:
    """One for the run: a schema takes seconds, and each test has conversations of its own."""
    keyspace = new_keyspace()
    yield keyspace
    driver.execute(f"DROP KEYSPACE IF EXISTS {keyspace}", timeout=SECONDS)


@pytest.fixture
def settings(cassandra: str, keyspace: str) -> ConversationSettings:
    return ConversationSettings.load(service_token="x" * 32, cassandra_hosts=cassandra, cassandra_keyspace=keyspace)


@pytest.fixture
async def chat_log(settings: ConversationSettings) -> AsyncIterator[ChatLog]:
    async with open_chat_log(settings) as log:
        yield log


def new_keyspace() -> str:
    return f"test_{new_id().replace('-', '')}"

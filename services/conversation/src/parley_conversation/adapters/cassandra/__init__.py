"""Cluster mode: the chat log in Apache Cassandra."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parley_conversation.adapters.cassandra.chat_log import CassandraChatLog
from parley_conversation.adapters.cassandra.codec import MirroredClock
from parley_conversation.adapters.cassandra.connection import Target, close, connect
from parley_conversation.adapters.cassandra.errors import cassandra_errors
from parley_conversation.adapters.cassandra.migrations import bundled, migrate
from parley_conversation.adapters.cassandra.session import Session, prepare
from parley_conversation.ports import ChatLog
from parley_conversation.settings import ConversationSettings
from parley_kit.waiting import until_available


@asynccontextmanager
async def open_chat_log(settings: ConversationSettings) -> AsyncIterator[ChatLog]:
    """The chat log in the keyspace that the settings name, made or migrated first.

    Waits until Cassandra answers. Raises ConfigError for settings that no cluster can fulfil.
    """
    target = Target.parse(
        settings.cassandra_hosts or "",
        settings.cassandra_keyspace,
        settings.cassandra_datacenter,
        settings.cassandra_replication,
    )
    session = await until_available("cassandra", lambda: _open(target))
    try:
        yield CassandraChatLog(session, MirroredClock())
    finally:
        await session.close()


async def _open(target: Target) -> Session:
    """The driver opens by waiting, so it does that in a thread. A cancelled opening is waited for and undone."""
    opening = asyncio.ensure_future(asyncio.to_thread(_connect, target))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        await asyncio.wait([opening])
        if not opening.exception():
            await opening.result().close()
        raise


def _connect(target: Target) -> Session:
    driver = connect(target)
    try:
        with cassandra_errors():
            migrate(driver, target, bundled())
            return Session(driver, prepare(driver, target.keyspace))
    except BaseException:
        close(driver)
        raise

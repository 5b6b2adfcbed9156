"""The settings choose the stores, and /readyz names the one that is missing."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from parley_conversation.bootstrap import open_stores
from parley_conversation.settings import ConversationSettings
from parley_conversation.testing.harness import conversation, message
from parley_kit.health import Readiness
from parley_kit.mongo import Mongo
from parley_kit.settings import ConfigError


def settings_for(folder: Path, mongo_url: str, database: str = "conversation") -> ConversationSettings:
    return ConversationSettings.load(
        service_token="x" * 32, data_dir=folder, mongo_url=mongo_url, conversation_database=database
    )


async def test_documents_are_in_mongodb_and_the_chat_log_in_sqlite(tmp_path: Path, mongo_url: str, db: Mongo) -> None:
    """Until Cassandra is named too. What was written is there for the next process."""
    made, readiness = conversation(), Readiness()
    said = message(made.id, 1)
    settings = settings_for(tmp_path, mongo_url, db.name)
    async with open_stores(settings, readiness) as stores:
        await stores.conversations.insert(made)
        await stores.chat_log.append(said)
        assert await readiness.report() == (True, {"conversation-store": "ok", "mongodb": "ok"})
    async with open_stores(settings, Readiness()) as stores:
        assert await stores.conversations.get(made.id) == made
        assert await stores.chat_log.get(made.id, [1]) == [said]
    assert await db.conversations.count_documents({"_id": made.id}) == 1


async def test_a_store_that_is_waited_for_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = settings_for(tmp_path, f"mongodb://127.0.0.1:{silent.getsockname()[1]}")
        readiness = Readiness()

        async def opening() -> None:
            async with open_stores(settings, readiness):
                raise AssertionError("opened")

        task = asyncio.create_task(opening())
        silent.setblocking(False)
        connection, _ = await asyncio.get_running_loop().sock_accept(silent)
        with connection:
            _, parts = await readiness.report()
        assert parts == {"conversation-store": "ok", "mongodb": "it is waited for"}
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_what_is_no_url_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PARLEY_MONGO_URL"):
        async with open_stores(settings_for(tmp_path, "http://host"), Readiness()):
            raise AssertionError("opened")

"""Embedded mode: all the stores of the service in one SQLite file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from parley_conversation.adapters.sqlite.chat_log import SqliteChatLog
from parley_conversation.adapters.sqlite.conversations import SqliteConversations
from parley_conversation.adapters.sqlite.generations import SqliteGenerations
from parley_conversation.adapters.sqlite.models import SqliteModels
from parley_conversation.adapters.sqlite.schema import MIGRATIONS
from parley_conversation.ports import Stores
from parley_kit.sqlite import open_database


@asynccontextmanager
async def open_stores(path: Path) -> AsyncIterator[Stores]:
    """The stores in the file at `path`, made or migrated first. Raises ConfigError when it cannot be used."""
    async with open_database(path, MIGRATIONS) as database:
        yield Stores(
            SqliteConversations(database),
            SqliteGenerations(database),
            SqliteChatLog(database),
            SqliteModels(database),
        )

"""The stores in SQLite keep every promise of the ports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from parley_conversation.adapters.sqlite import open_stores
from parley_conversation.ports import Stores
from parley_conversation.testing.contract import (
    ChatLogContract,
    ConversationsContract,
    GenerationsContract,
    ModelsContract,
)


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    async with open_stores(tmp_path / "conversation.sqlite3") as stores:
        yield stores


class TestSqliteConversations(ConversationsContract):
    pass


class TestSqliteGenerations(GenerationsContract):
    pass


class TestSqliteChatLog(ChatLogContract):
    pass


class TestSqliteModels(ModelsContract):
    pass

"""What a read costs does not grow with what it does not return: counted in instructions of SQLite's machine."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from parley_conversation.adapters.sqlite import chat_log as chat_log_module
from parley_conversation.adapters.sqlite.chat_log import SqliteChatLog
from parley_conversation.adapters.sqlite.codec import from_generation, from_message, to_seconds
from parley_conversation.adapters.sqlite.conversations import SqliteConversations
from parley_conversation.adapters.sqlite.generations import _INSERT, SqliteGenerations
from parley_conversation.adapters.sqlite.schema import MIGRATIONS
from parley_conversation.domain.generation import State
from parley_conversation.ports import ChatLog, ConversationQuery, Generations
from parley_conversation.testing.harness import START, after, conversation, generation, message
from parley_kit.sqlite import Database, Query, migrate

T = TypeVar("T")
SHORT, LONG = 200, 20_000


class CountedDatabase(Database):
    """Counts the instructions of its reads."""

    steps = 0

    async def read(self, query: Query[T]) -> T:
        return await super().read(lambda db: self._counted(db, query))

    def look(self, query: Query[T]) -> T:
        return super().look(lambda db: self._counted(db, query))

    def _counted(self, db: sqlite3.Connection, query: Query[T]) -> T:
        db.set_progress_handler(self._count, 1)
        try:
            return query(db)
        finally:
            db.set_progress_handler(None, 0)

    def _count(self) -> int:
        self.steps += 1
        return 0


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[CountedDatabase]:
    migrate(tmp_path / "conversation.sqlite3", MIGRATIONS)
    database = CountedDatabase(tmp_path / "conversation.sqlite3")
    yield database
    await database.close()


async def cost(database: CountedDatabase, read: Awaitable[object]) -> int:
    database.steps = 0
    await read
    return database.steps


READS: dict[str, Callable[[ChatLog, str, int], Awaitable[object]]] = {
    "newest page": lambda log, chat, last: log.before(chat, None, 50),
    "page before": lambda log, chat, last: log.before(chat, last - 60, 50),
    "get": lambda log, chat, last: log.get(chat, [last - 1, last, 7]),
    "siblings": lambda log, chat, last: log.siblings(chat, [None, 3, last - 1]),
    "locate": lambda log, chat, last: log.locate([f"{chat}-{last}", f"{chat}-9"]),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
async def test_a_long_chat_costs_as_much_as_a_short_one(
    database: CountedDatabase, read: Callable[[ChatLog, str, int], Awaitable[object]]
) -> None:
    for last in (SHORT, LONG):
        await database.write(lambda db, last=last: fill(db, f"chat-{last}", last))  # type: ignore[misc]
    log = SqliteChatLog(database)
    short, long = [await cost(database, read(log, f"chat-{last}", last)) for last in (SHORT, LONG)]
    assert 0 < long <= short * 1.1


def fill(db: sqlite3.Connection, conversation_id: str, last: int) -> None:
    row = from_message(message(conversation_id, 1))
    rows = (
        {**row, "seq": seq, "id": f"{conversation_id}-{seq}", "parent_seq": seq - 1 or None}
        for seq in range(1, last + 1)
    )
    db.executemany(chat_log_module._APPEND, rows)


SWEEPS: dict[str, Callable[[Generations], Awaitable[object]]] = {
    "active": lambda generations: generations.active("owner"),
    "overdue": lambda generations: generations.overdue(after(900), after(900), after(900), 10),
    "indebted": lambda generations: generations.indebted(after(900), 10),
    "unsettled": lambda generations: generations.unsettled("chat"),
    "find_request": lambda generations: generations.find_request("chat", "request-7"),
}


@pytest.mark.parametrize("read", SWEEPS.values(), ids=SWEEPS.keys())
async def test_finished_generations_cost_nothing(
    database: CountedDatabase, read: Callable[[Generations], Awaitable[object]]
) -> None:
    generations = SqliteGenerations(database)
    await generations.insert(generation("chat", owner_id="owner"))
    before = await cost(database, read(generations))
    await database.write(fill_finished)
    assert 0 < await cost(database, read(generations)) <= before * 1.1 + 60


def fill_finished(db: sqlite3.Connection) -> None:
    row = from_generation(generation("chat", owner_id="owner", state=State.COMPLETED)) | {
        "changed_at": to_seconds(START)
    }
    db.executemany(_INSERT, ({**row, "id": f"done-{n}", "request_id": f"request-{n}"} for n in range(2000)))


async def test_a_page_of_a_long_list_costs_as_much_as_of_a_short_one(database: CountedDatabase) -> None:
    conversations = SqliteConversations(database)
    page = (after(30), "cursor")

    async def listing() -> list[int]:
        queries = [ConversationQuery("owner", False, 20), ConversationQuery("owner", False, 20, after=page)]
        return [await cost(database, conversations.find(query)) for query in queries]

    for at in range(60):
        await conversations.insert(conversation("owner", at=at))
    short = await listing()
    for at in range(300):
        await conversations.insert(conversation("owner" if at % 2 else "other", at=60 + at))
    assert await listing() == pytest.approx(short, rel=0.1)


async def test_a_search_costs_nothing_for_what_others_said(database: CountedDatabase) -> None:
    conversations = SqliteConversations(database)
    mine, theirs = conversation("owner"), conversation("other")
    for chat in (mine, theirs):
        await conversations.insert(chat)
        await conversations.index(message(chat.id, 1, "hello world"))
    search = ConversationQuery("owner", False, 20, search="hello wo")
    before = await cost(database, conversations.find(search))
    others = [message(theirs.id, seq, "hello world") for seq in range(2, 600)]
    await asyncio.gather(*map(conversations.index, others))
    assert 0 < await cost(database, conversations.find(search)) <= before + len(others)

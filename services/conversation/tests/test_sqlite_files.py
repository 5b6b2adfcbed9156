"""The SQLite file: it survives a restart, is refused when it cannot be used, and no deletion holds up the writers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from parley_conversation.adapters.sqlite import deletion, open_stores
from parley_conversation.domain.generation import EndStream
from parley_conversation.ports import ConversationQuery, ServedModel, Stores
from parley_conversation.testing.harness import START, after, conversation, generation, ids, message
from parley_kit.errors import Unavailable
from parley_kit.ids import new_id
from parley_kit.settings import ConfigError
from parley_kit.sqlite import connect


async def test_everything_survives_a_restart(tmp_path: Path) -> None:
    chat = conversation(title="kept")
    said, made = message(chat.id, 1, "words\0"), generation(chat.id, EndStream(new_id()))
    async with open_stores(tmp_path / "conversation.sqlite3") as stores:
        await stores.conversations.insert(chat)
        await stores.conversations.reserve(chat.id, 2, START)
        await stores.conversations.index(said)
        await stores.chat_log.append(said)
        await stores.generations.insert(made)
        await stores.generations.claim(made.id, "worker", after(1), after(7))
        await stores.models.announce(ServedModel("llama", 2048, START))
    async with open_stores(tmp_path / "conversation.sqlite3") as stores:
        assert await stores.conversations.get(chat.id) == chat
        assert await stores.conversations.reserve(chat.id, 2, START) == 3
        assert ids(await stores.conversations.find(ConversationQuery(chat.owner_id, False, 9, search="words"))) == [
            chat.id
        ]
        assert await stores.chat_log.before(chat.id, None, 9) == [said]
        assert [(each.attempt, each.outbox) for each in await stores.generations.unsettled(chat.id)] == [
            (1, made.outbox)
        ]
        assert await stores.models.served() == [ServedModel("llama", 2048, START)]


async def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot use"):
        async with open_stores(tmp_path):
            pass


async def test_closed_stores_are_unavailable(tmp_path: Path) -> None:
    async with open_stores(tmp_path / "conversation.sqlite3") as stores:
        pass
    calls: list[Awaitable[object]] = [
        stores.conversations.get(new_id()),
        stores.generations.insert(generation()),
        stores.chat_log.append(message(new_id(), 1)),
        stores.models.served(),
    ]
    for call in calls:
        with pytest.raises(Unavailable):
            await call


async def test_a_purge_leaves_no_row(tmp_path: Path) -> None:
    path, chat = tmp_path / "conversation.sqlite3", conversation(title="title")
    async with open_stores(path) as stores:
        await stores.conversations.insert(chat)
        for seq in range(1, 50):
            await stores.conversations.index(message(chat.id, seq))
            await stores.chat_log.append(message(chat.id, seq))
            await stores.generations.insert(generation(chat.id))
        await stores.conversations.delete(chat.id)
        for delete in DELETIONS.values():
            await delete(stores, chat.id)
    tables = ("conversations", "messages", "generations", "word_rows", "words")
    with closing(connect(path)) as db:
        counts = {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}  # noqa: S608
        db.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    assert counts == dict.fromkeys(tables, 0)


DELETIONS: dict[str, Callable[[Stores, str], Awaitable[None]]] = {
    "messages": lambda stores, chat: stores.chat_log.delete(chat),
    "generations": lambda stores, chat: stores.generations.delete_of(chat),
    "words": lambda stores, chat: stores.conversations.purged(chat),
}


@pytest.mark.parametrize("delete", DELETIONS.values(), ids=DELETIONS.keys())
async def test_writers_get_their_turn_during_a_long_deletion(
    tmp_path: Path, delete: Callable[[Stores, str], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "TURN_SECONDS", 0.0)
    async with open_stores(tmp_path / "conversation.sqlite3") as stores:
        chat = conversation()
        await stores.conversations.insert(chat)
        said = [message(chat.id, seq) for seq in range(1, deletion.ROWS * 8)]
        await asyncio.gather(
            *(stores.chat_log.append(each) for each in said),
            *(stores.conversations.index(each) for each in said),
            *(stores.generations.insert(generation(chat.id)) for _ in said),
        )
        await stores.conversations.delete(chat.id)
        deleted = asyncio.ensure_future(delete(stores, chat.id))
        for _ in range(5):
            await stores.conversations.insert(conversation())
        assert not deleted.done()
        await deleted

"""The chat log in SQLite, laid out as in Cassandra: a conversation's messages in buckets of 5,000 seqs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from parley_conversation.adapters.sqlite.codec import MESSAGE_COLUMNS, from_message, to_message
from parley_conversation.adapters.sqlite.deletion import ROWS, delete_in_turns
from parley_conversation.domain.conversation import Message
from parley_kit.sqlite import Database

BUCKET = 5000

_APPEND = (
    f"INSERT INTO messages (bucket, {', '.join(MESSAGE_COLUMNS)}) "  # noqa: S608 - column names
    f"VALUES (:seq / {BUCKET}, {', '.join(':' + name for name in MESSAGE_COLUMNS)}) "
    "ON CONFLICT (conversation_id, bucket, seq) DO NOTHING"
)
_BEFORE = """
SELECT * FROM messages WHERE conversation_id = ? AND (bucket, seq) < (?, ?)
ORDER BY bucket DESC, seq DESC LIMIT ?
"""
# CROSS JOIN keeps the order of a join as it is written: the few wanted first, then an index.
_GET = f"""
SELECT m.* FROM json_each(?) AS wanted
CROSS JOIN messages AS m ON m.conversation_id = ? AND m.bucket = wanted.value / {BUCKET} AND m.seq = wanted.value
"""  # noqa: S608 - a constant
_LOCATE = "SELECT m.* FROM json_each(?) AS wanted JOIN messages AS m ON m.id = wanted.value"
_SIBLINGS = """
SELECT m.parent_seq, m.id FROM json_each(?) AS parent
CROSS JOIN messages AS m INDEXED BY messages_by_parent
    ON m.conversation_id = ? AND m.parent_seq IS parent.value
ORDER BY m.seq
"""
_DELETE_SOME = """
DELETE FROM messages WHERE (conversation_id, bucket, seq) IN (
    SELECT conversation_id, bucket, seq FROM messages WHERE conversation_id = ? ORDER BY bucket, seq LIMIT ?
)
"""
_ABOVE_ALL = 2**62


class SqliteChatLog:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, message: Message) -> None:
        row = from_message(message)
        await self._database.write(lambda db: db.execute(_APPEND, row))

    async def before(self, conversation_id: str, seq: int | None, most: int) -> Sequence[Message]:
        border = _ABOVE_ALL if seq is None else seq
        arguments = (conversation_id, border // BUCKET, border, most)
        if most == 1:
            return self._database.look(lambda db: _all(db, _BEFORE, arguments))
        return await self._messages(_BEFORE, arguments)

    async def get(self, conversation_id: str, seqs: Sequence[int]) -> Sequence[Message]:
        return await self._messages(_GET, (_json(seqs), conversation_id))

    async def locate(self, message_ids: Sequence[str]) -> Sequence[Message]:
        return await self._messages(_LOCATE, (_json(message_ids),))

    async def siblings(
        self, conversation_id: str, parent_seqs: Sequence[int | None]
    ) -> Mapping[int | None, Sequence[str]]:
        arguments = (_json(parent_seqs), conversation_id)
        rows = await self._database.read(lambda db: db.execute(_SIBLINGS, arguments).fetchall())
        found: dict[int | None, list[str]] = {parent: [] for parent in parent_seqs}
        for row in rows:
            found[row["parent_seq"]].append(row["id"])
        return found

    async def delete(self, conversation_id: str) -> None:
        await delete_in_turns(self._database, lambda db: db.execute(_DELETE_SOME, (conversation_id, ROWS)).rowcount)

    async def _messages(self, query: str, arguments: tuple[object, ...]) -> Sequence[Message]:
        return await self._database.read(lambda db: _all(db, query, arguments))


def _all(db: sqlite3.Connection, query: str, arguments: tuple[object, ...]) -> list[Message]:
    return [to_message(row) for row in db.execute(query, arguments)]


def _json(values: Sequence[object]) -> str:
    return json.dumps(list(dict.fromkeys(values)))

"""Conversations in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from parley_conversation.adapters.sqlite import search
from parley_conversation.adapters.sqlite.codec import to_conversation, to_seconds
from parley_conversation.adapters.sqlite.deletion import delete_in_turns
from parley_conversation.domain.conversation import Conversation, Message
from parley_conversation.ports import ConversationChanges, ConversationQuery
from parley_kit.sqlite import Database

_INSERT = """
INSERT INTO conversations (id, owner_id, title, model, system_prompt, archived, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_GET_MANY = """
SELECT c.* FROM json_each(?) AS wanted JOIN conversations AS c ON c.id = wanted.value WHERE c.deleted = 0
"""
_UPDATE = """
UPDATE conversations SET title = coalesce(:title, title), archived = coalesce(:archived, archived),
    model = coalesce(:model, model), updated_at = max(updated_at, :now),
    system_prompt = CASE WHEN :system_prompt IS NULL THEN system_prompt ELSE nullif(:system_prompt, '') END
WHERE id = :id AND deleted = 0 RETURNING *
"""
_RESERVE = """
UPDATE conversations SET last_seq = last_seq + ?, updated_at = max(updated_at, ?)
WHERE id = ? AND deleted = 0 RETURNING last_seq
"""
_ENTITLE = "UPDATE conversations SET title = ? WHERE id = ? AND title = '' AND deleted = 0"
_DELETE = "UPDATE conversations SET deleted = 1 WHERE id = ? AND deleted = 0"
_IS_DELETED = "SELECT 1 FROM conversations WHERE id = ? AND deleted = 1"
_FIND = """
SELECT * FROM conversations
WHERE owner_id = :owner AND archived = :archived AND deleted = 0 {filters}
ORDER BY updated_at DESC, id DESC LIMIT :first
"""
_AFTER = "AND (updated_at, id) < (:after_at, :after_id)"
# Each term alone, since one may stand in the title and another in a message.
_HAS_TERM = """AND id IN (
    SELECT row.conversation_id FROM words JOIN word_rows AS row ON row.id = words.rowid WHERE words MATCH :term{number}
)"""


class SqliteConversations:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, conversation: Conversation) -> None:
        row = (
            conversation.id,
            conversation.owner_id,
            conversation.title,
            conversation.model,
            conversation.system_prompt,
            conversation.archived,
            to_seconds(conversation.created_at),
            to_seconds(conversation.updated_at),
        )

        def run(db: sqlite3.Connection) -> None:
            db.execute(_INSERT, row)
            search.index_title(db, conversation.id, conversation.title)

        await self._database.write(run)

    async def get(self, conversation_id: str) -> Conversation | None:
        return next(iter(await self.get_many([conversation_id])), None)

    async def get_many(self, conversation_ids: Sequence[str]) -> Sequence[Conversation]:
        wanted = json.dumps(list(dict.fromkeys(conversation_ids)))

        def run(db: sqlite3.Connection) -> list[Conversation]:
            return [to_conversation(row) for row in db.execute(_GET_MANY, (wanted,))]

        return self._database.look(run)

    async def find(self, query: ConversationQuery) -> Sequence[Conversation]:
        def run(db: sqlite3.Connection) -> list[Conversation]:
            terms = search.expressions(db, query.owner_id, query.search or "")
            if not terms and query.search and not query.search.isspace():
                return []
            statement, arguments = _listing(query, terms)
            return [to_conversation(row) for row in db.execute(statement, arguments)]

        return await self._database.read(run)

    async def update(self, conversation_id: str, changes: ConversationChanges, now: datetime) -> Conversation | None:
        arguments = {
            "id": conversation_id,
            "now": to_seconds(now),
            "title": changes.title,
            "archived": changes.archived,
            "model": changes.model,
            "system_prompt": changes.system_prompt,
        }

        def run(db: sqlite3.Connection) -> Conversation | None:
            row = db.execute(_UPDATE, arguments).fetchone()
            if row is not None and changes.title is not None:
                search.index_title(db, conversation_id, changes.title)
            return None if row is None else to_conversation(row)

        return await self._database.write(run)

    async def entitle(self, conversation_id: str, title: str) -> None:
        def run(db: sqlite3.Connection) -> None:
            if db.execute(_ENTITLE, (title, conversation_id)).rowcount:
                search.index_title(db, conversation_id, title)

        await self._database.write(run)

    async def reserve(self, conversation_id: str, count: int, now: datetime) -> int | None:
        arguments = (count, to_seconds(now), conversation_id)
        row = await self._database.write(lambda db: db.execute(_RESERVE, arguments).fetchone())
        return None if row is None else row["last_seq"] - count + 1

    async def delete(self, conversation_id: str) -> bool:
        return await self._database.write(lambda db: db.execute(_DELETE, (conversation_id,)).rowcount) > 0

    async def purgeable(self, most: int) -> Sequence[str]:
        query = "SELECT id FROM conversations WHERE deleted = 1 LIMIT ?"
        rows = await self._database.read(lambda db: db.execute(query, (most,)).fetchall())
        return [row["id"] for row in rows]

    async def purged(self, conversation_id: str) -> None:
        def forget_some(db: sqlite3.Connection) -> int:
            if db.execute(_IS_DELETED, (conversation_id,)).fetchone() is None:
                return 0
            forgotten = search.forget_some(db, conversation_id)
            if not forgotten:
                db.execute("DELETE FROM conversations WHERE id = ?", (conversation_id,))
            return forgotten

        await delete_in_turns(self._database, forget_some)

    async def index(self, message: Message) -> None:
        def run(db: sqlite3.Connection) -> None:
            search.index_message(db, message.conversation_id, message.seq, message.content)

        await self._database.write(run)


def _listing(query: ConversationQuery, terms: Sequence[str]) -> tuple[str, dict[str, Any]]:
    filters = [_HAS_TERM.format(number=number) for number in range(len(terms))]
    arguments: dict[str, Any] = {f"term{number}": term for number, term in enumerate(terms)}
    arguments |= {"owner": query.owner_id, "archived": query.archived, "first": query.first}
    if query.after is not None:
        filters.append(_AFTER)
        arguments |= {"after_at": to_seconds(query.after[0]), "after_id": query.after[1]}
    return _FIND.format(filters=" ".join(filters)), arguments

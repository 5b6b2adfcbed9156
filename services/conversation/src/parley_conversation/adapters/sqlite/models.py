"""Which models workers announced, in SQLite."""

from __future__ import annotations

from collections.abc import Sequence

from parley_conversation.adapters.sqlite.codec import to_instant, to_seconds
from parley_conversation.ports import ServedModel
from parley_kit.sqlite import Database

_ANNOUNCE = """
INSERT INTO models (name, context_length, seen_at) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET context_length = excluded.context_length, seen_at = excluded.seen_at
WHERE excluded.seen_at > seen_at
"""
_SERVED = "SELECT name, context_length, seen_at FROM models ORDER BY name"


class SqliteModels:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def announce(self, model: ServedModel) -> None:
        row = (model.name, model.context_length, to_seconds(model.seen_at))
        await self._database.write(lambda db: db.execute(_ANNOUNCE, row))

    async def served(self) -> Sequence[ServedModel]:
        rows = await self._database.read(lambda db: db.execute(_SERVED).fetchall())
        return [ServedModel(row["name"], row["context_length"], to_instant(row["seen_at"])) for row in rows]

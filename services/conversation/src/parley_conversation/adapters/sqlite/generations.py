"""Generations in SQLite: a row a document, changed by read-test-write inside one transaction of the only writer."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from functools import partial

from parley_conversation.adapters.changes import Changes, Rule
from parley_conversation.adapters.sqlite.codec import from_generation, to_generation, to_seconds
from parley_conversation.adapters.sqlite.deletion import ROWS, delete_in_turns
from parley_conversation.domain import transitions
from parley_conversation.domain.generation import Generation
from parley_conversation.ports import Renewal
from parley_kit.sqlite import Database

_COLUMNS = tuple(field.name for field in fields(Generation))
_INSERT = (
    f"INSERT INTO generations ({', '.join(_COLUMNS)}, changed_at) "  # noqa: S608 - column names
    f"VALUES ({', '.join(':' + name for name in _COLUMNS)}, :changed_at)"
)
_UPDATE = (
    f"UPDATE generations SET {', '.join(f'{name} = :{name}' for name in _COLUMNS)}, "  # noqa: S608 - column names
    "changed_at = coalesce(:changed_at, changed_at) WHERE id = :id"
)
_GET = "SELECT * FROM generations WHERE id = ?"
_GET_MANY = "SELECT g.* FROM json_each(?) AS wanted JOIN generations AS g ON g.id = wanted.value"
_BY_REQUEST = "SELECT * FROM generations WHERE conversation_id = ? AND request_id = ?"
_ACTIVE = """
SELECT coalesce(sum(owner_id = ?), 0) AS mine, count(*) AS everybodys
FROM generations WHERE state IN ('queued', 'running')
"""
_OVERDUE = """
SELECT * FROM generations WHERE state IN ('queued', 'running') AND (
    deadline <= :now
    OR cancel_requested_at <= :cancelled_since
    OR state = 'running' AND coalesce(lease_until, 0) <= :now
    OR state = 'queued' AND queued_at <= :unclaimed_since
) ORDER BY created_at LIMIT :most
"""
_INDEBTED = "SELECT * FROM generations WHERE outbox <> '[]' AND changed_at <= ? ORDER BY changed_at LIMIT ?"
_UNSETTLED = """
SELECT * FROM generations
WHERE conversation_id = ? AND (state IN ('queued', 'running') OR outbox <> '[]') ORDER BY user_seq, created_at
"""
_DELETE_SOME = "DELETE FROM generations WHERE id IN (SELECT id FROM generations WHERE conversation_id = ? LIMIT ?)"

_Arguments = tuple[object, ...] | dict[str, object]


class SqliteGenerations(Changes):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, generation: Generation) -> Generation:
        def run(db: sqlite3.Connection) -> Generation:
            first = db.execute(_BY_REQUEST, (generation.conversation_id, generation.request_id)).fetchone()
            if first is not None:
                return to_generation(first)
            queued = replace(generation, queued_at=generation.queued_at or generation.created_at)
            db.execute(_INSERT, {**from_generation(queued), "changed_at": to_seconds(generation.created_at)})
            return queued

        return await self._database.write(run)

    async def find_request(self, conversation_id: str, request_id: str) -> Generation | None:
        return next(iter(self._look(_BY_REQUEST, (conversation_id, request_id))), None)

    async def get(self, generation_id: str) -> Generation | None:
        return next(iter(self._look(_GET, (generation_id,))), None)

    async def get_many(self, generation_ids: Sequence[str]) -> Sequence[Generation]:
        return self._look(_GET_MANY, (json.dumps(list(dict.fromkeys(generation_ids))),))

    async def renew(self, worker_id: str, leases: Mapping[str, int], lease_until: datetime) -> Sequence[Renewal]:
        def run(db: sqlite3.Connection) -> list[Renewal]:
            renewed = []
            for generation_id, attempt in leases.items():
                rule = partial(transitions.renew, worker_id=worker_id, attempt=attempt, lease_until=lease_until)
                changed = _apply(db, generation_id, rule, None)
                if changed is not None:
                    renewed.append(Renewal(generation_id, changed.cancel_requested_at is not None))
            return renewed

        return await self._database.write(run)

    async def settle(self, generation_id: str, debt_ids: Sequence[str], answer_stored: bool = False) -> None:
        def rule(it: Generation) -> Generation | None:
            left = tuple(debt for debt in it.outbox if debt.id not in debt_ids)
            return replace(it, outbox=left, answer_stored=it.answer_stored or answer_stored)

        await self._change(generation_id, rule)

    async def active(self, owner_id: str) -> tuple[int, int]:
        row = self._database.look(lambda db: db.execute(_ACTIVE, (owner_id,)).fetchone())
        return row["mine"], row["everybodys"]

    async def overdue(
        self, now: datetime, unclaimed_since: datetime, cancelled_since: datetime, most: int
    ) -> Sequence[Generation]:
        times = {"now": now, "unclaimed_since": unclaimed_since, "cancelled_since": cancelled_since}
        return await self._find(_OVERDUE, {"most": most, **{name: to_seconds(at) for name, at in times.items()}})

    async def indebted(self, since: datetime, most: int) -> Sequence[Generation]:
        return await self._find(_INDEBTED, (to_seconds(since), most))

    async def unsettled(self, conversation_id: str) -> Sequence[Generation]:
        return self._look(_UNSETTLED, (conversation_id,))

    async def delete_of(self, conversation_id: str) -> None:
        await delete_in_turns(self._database, lambda db: db.execute(_DELETE_SOME, (conversation_id, ROWS)).rowcount)

    async def _find(self, query: str, arguments: _Arguments) -> Sequence[Generation]:
        return await self._database.read(lambda db: _all(db, query, arguments))

    def _look(self, query: str, arguments: _Arguments) -> Sequence[Generation]:
        return self._database.look(lambda db: _all(db, query, arguments))

    async def _change(self, generation_id: str, rule: Rule, now: datetime | None = None) -> Generation | None:
        return await self._database.write(lambda db: _apply(db, generation_id, rule, now))


def _all(db: sqlite3.Connection, query: str, arguments: _Arguments) -> list[Generation]:
    return [to_generation(row) for row in db.execute(query, arguments)]


def _apply(db: sqlite3.Connection, generation_id: str, rule: Rule, now: datetime | None) -> Generation | None:
    """The document as `rule` changes it, or None, with nothing written, when it is absent or the rule refuses."""
    row = db.execute(_GET, (generation_id,)).fetchone()
    changed = None if row is None else rule(to_generation(row))
    if changed is not None:
        db.execute(_UPDATE, {**from_generation(changed), "changed_at": to_seconds(now)})
    return changed

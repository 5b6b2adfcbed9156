"""Refresh families in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from parley_auth.adapters.sqlite.schema import from_micros, to_micros
from parley_auth.domain.family import Family, RefreshToken
from parley_kit.sqlite import Database

_FIND = """
    SELECT refresh_tokens.*, user_id, started_at, ended_at
    FROM refresh_tokens JOIN refresh_families ON refresh_families.id = family_id WHERE digest = ?
"""
_SPEND_PARENT = (
    "UPDATE refresh_tokens SET spent = 1 WHERE digest = (SELECT parent FROM refresh_tokens WHERE digest = ?)"
)
_NOTE_USE = """
    UPDATE refresh_tokens SET first_used_at = coalesce(first_used_at, ?) WHERE digest = ? RETURNING *
"""
_PURGE_TOKENS = """
    DELETE FROM refresh_tokens WHERE expires_at <= ? AND NOT EXISTS (
        SELECT 1 FROM refresh_families WHERE id = family_id AND ended_at >= ?
    )
"""
_PURGE_FAMILIES = """
    DELETE FROM refresh_families
    WHERE NOT EXISTS (SELECT 1 FROM refresh_tokens WHERE family_id = refresh_families.id)
"""


class SqliteRefreshFamilies:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self, family: Family, token: RefreshToken) -> None:
        def change(db: sqlite3.Connection) -> None:
            row = (family.id, family.user_id, to_micros(family.started_at), _micros_or_null(family.ended_at))
            db.execute("INSERT INTO refresh_families VALUES (?, ?, ?, ?)", row)
            _insert(db, token)

        await self._database.write(change)

    async def find(self, digest: bytes) -> tuple[Family, RefreshToken] | None:
        def query(db: sqlite3.Connection) -> sqlite3.Row | None:
            row: sqlite3.Row | None = db.execute(_FIND, (digest,)).fetchone()
            return row

        row = await self._database.read(query)
        return None if row is None else (_to_family(row, row["family_id"]), _to_token(row))

    async def redeem(self, digest: bytes, now: datetime) -> RefreshToken | None:
        def change(db: sqlite3.Connection) -> sqlite3.Row | None:
            db.execute(_SPEND_PARENT, (digest,))
            rows = db.execute(_NOTE_USE, (to_micros(now), digest)).fetchall()
            return rows[0] if rows else None

        row = await self._database.write(change)
        return None if row is None else _to_token(row)

    async def issue(self, token: RefreshToken) -> None:
        await self._database.write(lambda db: _insert(db, token))

    async def end(self, family_id: str, now: datetime) -> bool:
        statement = "UPDATE refresh_families SET ended_at = ? WHERE id = ? AND ended_at IS NULL"
        return await self._database.write(lambda db: db.execute(statement, (to_micros(now), family_id)).rowcount == 1)

    async def ended_since(self, moment: datetime) -> Sequence[Family]:
        statement = "SELECT * FROM refresh_families WHERE ended_at >= ?"
        rows = await self._database.read(lambda db: db.execute(statement, (to_micros(moment),)).fetchall())
        return [_to_family(row, row["id"]) for row in rows]

    async def purge(self, now: datetime, ended_before: datetime) -> None:
        moments = (to_micros(now), to_micros(ended_before))

        def change(db: sqlite3.Connection) -> None:
            if db.execute(_PURGE_TOKENS, moments).rowcount:
                db.execute(_PURGE_FAMILIES)

        await self._database.write(change)


def _insert(db: sqlite3.Connection, token: RefreshToken) -> None:
    row = (
        token.digest,
        token.family_id,
        token.parent,
        to_micros(token.expires_at),
        _micros_or_null(token.first_used_at),
        token.spent,
    )
    db.execute("INSERT INTO refresh_tokens VALUES (?, ?, ?, ?, ?, ?)", row)


def _micros_or_null(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)


def _moment_or_none(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


def _to_family(row: sqlite3.Row, family_id: str) -> Family:
    return Family(family_id, row["user_id"], from_micros(row["started_at"]), _moment_or_none(row["ended_at"]))


def _to_token(row: sqlite3.Row) -> RefreshToken:
    return RefreshToken(
        row["digest"],
        row["family_id"],
        row["parent"],
        from_micros(row["expires_at"]),
        _moment_or_none(row["first_used_at"]),
        bool(row["spent"]),
    )

"""The file: its migrations, in order and never changed once released, and its permissions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from parley_kit.sqlite import Database, open_database

MIGRATIONS = (
    """
    CREATE TABLE users (
        id TEXT PRIMARY KEY,
        email TEXT NOT NULL UNIQUE,
        display_name TEXT NOT NULL,
        password_hash TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE refresh_families (
        id TEXT PRIMARY KEY,
        user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        started_at INTEGER NOT NULL,
        ended_at INTEGER
    ) STRICT;
    CREATE INDEX refresh_families_by_user ON refresh_families (user_id);
    CREATE INDEX refresh_families_by_end ON refresh_families (ended_at) WHERE ended_at IS NOT NULL;
    CREATE TABLE refresh_tokens (
        digest BLOB PRIMARY KEY,
        family_id TEXT NOT NULL REFERENCES refresh_families (id) ON DELETE CASCADE,
        parent BLOB,
        expires_at INTEGER NOT NULL,
        first_used_at INTEGER,
        spent INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family_id);
    CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);
    """,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Times in the file are microseconds since 1970, UTC."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    return _EPOCH + micros * _MICROSECOND


@asynccontextmanager
async def open_store(path: Path) -> AsyncIterator[Database]:
    """The migrated file. Raises ConfigError when it cannot be used."""
    async with open_database(path, MIGRATIONS) as database:
        yield database

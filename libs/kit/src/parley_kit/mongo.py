"""MongoDB for asyncio: majority writes and reads, our errors, and migrations in order.

Single documents only: nothing here offers a transaction (https://www.mongodb.com/docs/manual/core/write-operations-atomicity/).
The driver is PyMongo's own asyncio client. Motor, which it replaces, lends each call one of a few threads: behind a
server that hangs, calls would wait for a thread without any timeout.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import pymongo
from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConnectionFailure, DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from parley_kit.errors import Unavailable
from parley_kit.settings import ConfigError

Document = dict[str, Any]
Mongo = AsyncDatabase[Document]

SELECT_MS, CONNECT_MS, CALL_MS = 1200, 1200, 1500
"""A call ends within CALL_MS, half a second before what is promised of it: finding a server, a free connection, all
retries and the answer, in all."""
MIGRATION_SECONDS = 60.0
"""For one step of a schema: an index over many documents takes longer than a call may."""
AWAY_LABELS = ("RetryableWriteError", "RetryableReadError", "TransientTransactionError")


@asynccontextmanager
async def open_mongo(url: str, database: str) -> AsyncIterator[Mongo]:
    """A database whose writes and reads are of the majority. The server need not be there yet.

    Raises ConfigError for what is no MongoDB URL.
    """
    try:
        client: AsyncMongoClient[Document] = AsyncMongoClient(
            url,
            timeoutMS=CALL_MS,
            serverSelectionTimeoutMS=SELECT_MS,
            connectTimeoutMS=CONNECT_MS,
            retryWrites=True,
            retryReads=True,
            uuidRepresentation="standard",
        )
    except (PyMongoError, ValueError) as error:
        raise ConfigError(f"PARLEY_MONGO_URL: {error}") from None
    async with client:
        yield client.get_database(
            database,
            codec_options=CodecOptions(tz_aware=True, tzinfo=UTC),
            read_preference=ReadPreference.PRIMARY,
            write_concern=WriteConcern(w="majority", j=True),
            read_concern=ReadConcern("majority"),
        )


@contextmanager
def mongo_errors() -> Iterator[None]:
    """Around each use: a server that is away is Unavailable; a duplicate key and a bug stay what they are."""
    try:
        yield
    except DuplicateKeyError:
        raise
    except PyMongoError as error:
        if not _away(error):
            raise
        raise Unavailable(f"MongoDB is away: {type(error).__name__}") from error
    except RuntimeError as error:
        # What PyMongo's condition says when its wait for a server is cut short by the end of the call's time.
        if "un-acquired lock" not in str(error):
            raise
        raise Unavailable("MongoDB is away: no server in time") from error


def _away(error: PyMongoError) -> bool:
    """Whether the same call may succeed later: no connection, no time left, or a server that is changing its role."""
    return isinstance(error, ConnectionFailure) or error.timeout or any(map(error.has_error_label, AWAY_LABELS))


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of a schema. `apply` must be harmless when applied twice: a crash may come before it is noted."""

    name: str
    apply: Callable[[Mongo], Awaitable[None]]


async def migrate(db: Mongo, migrations: Sequence[Migration]) -> None:
    """Apply in order what the database does not have yet, noting each in `migrations`. Raises Unavailable.

    Any number of processes may do so at once.
    """
    with mongo_errors():
        done = {document["_id"] async for document in db.migrations.find({}, {"_id": 1})}
        for migration in migrations:
            if migration.name not in done:
                with pymongo.timeout(MIGRATION_SECONDS):
                    await migration.apply(db)
                await db.migrations.update_one({"_id": migration.name}, {"$setOnInsert": {"version": 1}}, upsert=True)

"""MongoDB for asyncio: majority writes and reads, our errors, and migrations in order.

Single documents only: nothing here offers a transaction (https://www.mongodb.com/docs/manual/core/write-operations-atomicity/).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from bson.codec_options import CodecOptions
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo import ReadPreference
from pymongo.errors import (
    AutoReconnect,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    NetworkTimeout,
    PyMongoError,
    ServerSelectionTimeoutError,
    WTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from parley_kit.errors import Unavailable
from parley_kit.settings import ConfigError

Document = dict[str, Any]
Mongo = AsyncIOMotorDatabase[Document]

SELECT_MS, CONNECT_MS, SOCKET_MS = 1500, 1500, 1800
"""A call that finds no server is Unavailable within 2 s. A dead socket is given up in the same time."""
WRITE_MS = 1500
AWAY = (AutoReconnect, ConnectionFailure, ExecutionTimeout, NetworkTimeout, ServerSelectionTimeoutError, WTimeoutError)


@asynccontextmanager
async def open_mongo(url: str, database: str) -> AsyncIterator[Mongo]:
    """A database whose writes and reads are of the majority. The server need not be there yet.

    Raises ConfigError for what is no MongoDB URL.
    """
    try:
        client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
            url,
            serverSelectionTimeoutMS=SELECT_MS,
            connectTimeoutMS=CONNECT_MS,
            socketTimeoutMS=SOCKET_MS,
            retryWrites=True,
            retryReads=True,
            uuidRepresentation="standard",
        )
    except (PyMongoError, ValueError) as error:
        raise ConfigError(f"PARLEY_MONGO_URL: {error}") from None
    try:
        yield client.get_database(
            database,
            codec_options=CodecOptions(tz_aware=True, tzinfo=UTC),
            read_preference=ReadPreference.PRIMARY,
            write_concern=WriteConcern(w="majority", wtimeout=WRITE_MS, j=True),
            read_concern=ReadConcern("majority"),
        )
    finally:
        client.close()


@contextmanager
def mongo_errors() -> Iterator[None]:
    """Around each use: a server that is away is Unavailable; a duplicate key and a bug stay what they are."""
    try:
        yield
    except DuplicateKeyError:
        raise
    except AWAY as error:
        raise Unavailable(f"MongoDB is away: {type(error).__name__}") from error


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
                await migration.apply(db)
                await db.migrations.update_one({"_id": migration.name}, {"$setOnInsert": {"version": 1}}, upsert=True)

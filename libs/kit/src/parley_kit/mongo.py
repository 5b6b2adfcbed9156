"""MongoDB for asyncio: majority writes and reads, our errors, and migrations in order.

Single documents only: nothing here offers a transaction (https://www.mongodb.com/docs/manual/core/write-operations-atomicity/).
Motor lends each call one of a few threads; `mongo_calls` bounds the wait for one as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import pymongo
from bson.codec_options import CodecOptions
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo import ReadPreference
from pymongo.errors import ConnectionFailure, DuplicateKeyError, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from parley_kit.errors import Unavailable
from parley_kit.settings import ConfigError

Document = dict[str, Any]
Mongo = AsyncIOMotorDatabase[Document]
Collection = AsyncIOMotorCollection[Document]

SELECT_MS, CONNECT_MS, CALL_MS = 1200, 1200, 1400
"""A call ends within CALL_MS, half a second before what is promised of it: finding a server, a free connection, all
retries and the answer, in all."""
WAIT_SECONDS = 1.5
"""And with the wait for a thread, where many calls hang at once."""
CLOSE_SECONDS = 1.0
MIGRATION_SECONDS = 60.0
"""For the steps of a schema: an index over many documents takes longer than a call may."""
AWAY_LABELS = ("RetryableWriteError", "RetryableReadError", "TransientTransactionError")
AWAY_CODES = frozenset(
    {
        6,  # HostUnreachable, told by a mongos
        7,  # HostNotFound
        89,  # NetworkTimeout
        133,  # FailedToSatisfyReadPreference: no primary now
        134,  # ReadConcernMajorityNotAvailableYet: the server has just started
        202,  # NetworkInterfaceExceededTimeLimit
        262,  # ExceededTimeLimit
        9001,  # SocketException
    }
)
"""Without a label, as a read gets them: https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml."""
REFUSED_CODES = (13, 18)
"""Unauthorized, AuthenticationFailed."""
NAMESPACE_EXISTS = 48


@asynccontextmanager
async def open_mongo(url: str, database: str) -> AsyncIterator[Mongo]:
    """A database whose writes and reads are of the majority. The server need not be there yet.

    Raises ConfigError for what is no MongoDB URL.
    """
    try:
        client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
            url,
            timeoutMS=CALL_MS,
            serverSelectionTimeoutMS=SELECT_MS,
            connectTimeoutMS=CONNECT_MS,
            retryWrites=True,
            retryReads=True,
            uuidRepresentation="standard",
        )
    except (PyMongoError, ValueError) as error:
        # Not its message: that may quote what it took for the database, and is the end of a password.
        reason = type(error).__name__
        raise ConfigError(f"PARLEY_MONGO_URL: no MongoDB URL ({reason}); are user and password escaped?") from None
    try:
        yield client.get_database(
            database,
            codec_options=CodecOptions(tz_aware=True, tzinfo=UTC),
            read_preference=ReadPreference.PRIMARY,
            write_concern=WriteConcern(w="majority", j=True),
            read_concern=ReadConcern("majority"),
        )
    finally:
        await asyncio.to_thread(_close, client)


def _close(client: AsyncIOMotorClient[Document]) -> None:
    """It tells the server, which may hang: without a limit that would hold up the stop, and on the loop all else."""
    with pymongo.timeout(CLOSE_SECONDS):
        client.close()


@asynccontextmanager
async def mongo_calls(seconds: float = WAIT_SECONDS) -> AsyncIterator[None]:
    """Around each use, which ends within `seconds`: a server that is away, or does not answer, is Unavailable.

    A duplicate key and a bug stay what they are. What was cut off may still take effect.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except DuplicateKeyError:
        raise
    except TimeoutError:
        raise Unavailable("MongoDB is away: no answer in time") from None
    except PyMongoError as error:
        if not _away(error):
            raise
        raise Unavailable(f"MongoDB is away: {type(error).__name__}") from error


def _away(error: PyMongoError) -> bool:
    """Whether the same call may succeed later: no connection, no time left, or a server that is changing its role."""
    if isinstance(error, ConnectionFailure) or error.timeout or any(map(error.has_error_label, AWAY_LABELS)):
        return True
    return isinstance(error, OperationFailure) and error.code in AWAY_CODES


async def define_collection(db: Mongo, name: str, schema: Document) -> None:
    """A collection that the server holds to this JSON schema, also when it is there or another process makes it now."""
    validator = {"$jsonSchema": {"bsonType": "object", **schema}}
    try:
        await db.create_collection(name, check_exists=False, validator=validator)
    except OperationFailure as error:
        if error.code != NAMESPACE_EXISTS:
            raise
        await db.command("collMod", name, validator=validator)


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of a schema. `apply` must be harmless when applied twice: a crash may come before it is noted."""

    name: str
    apply: Callable[[Mongo], Awaitable[None]]


async def migrate(db: Mongo, migrations: Sequence[Migration]) -> None:
    """Apply in order what the database does not have yet, noting each in `migrations`.

    Any number of processes may do so at once. Raises Unavailable; ConfigError when the URL's user is not let in.
    """
    try:
        await _migrate(db, migrations)
    except OperationFailure as error:
        if error.code not in REFUSED_CODES:
            raise
        raise ConfigError(f"PARLEY_MONGO_URL: {(error.details or {}).get('errmsg')}") from None


async def _migrate(db: Mongo, migrations: Sequence[Migration]) -> None:
    async with mongo_calls(MIGRATION_SECONDS):
        done = {document["_id"] async for document in db.migrations.find({}, {"_id": 1})}
        for migration in migrations:
            if migration.name not in done:
                with pymongo.timeout(MIGRATION_SECONDS):
                    await migration.apply(db)
                await db.migrations.update_one({"_id": migration.name}, {"$setOnInsert": {"version": 1}}, upsert=True)

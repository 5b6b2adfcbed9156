"""MongoDB: refusals in time, and migrations in order, once, by any number of processes."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from pymongo.errors import DuplicateKeyError, OperationFailure, WriteError
from pymongo.helpers_shared import _check_command_response

from parley_kit.errors import Unavailable
from parley_kit.ids import new_id
from parley_kit.mongo import Migration, Mongo, define_collection, migrate, mongo_calls, open_mongo
from parley_kit.settings import ConfigError


@pytest.fixture
async def db(mongo_url: str) -> AsyncIterator[Mongo]:
    async with open_mongo(mongo_url, f"kit-{new_id()}") as db:
        yield db
        await db.client.drop_database(db.name)


@pytest.mark.parametrize("url", ["mongodb://", "mongodb://host:port", "http://host"])
async def test_what_is_no_url_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError, match="PARLEY_MONGO_URL"):
        async with open_mongo(url, "kit"):
            raise AssertionError("opened")


@pytest.mark.parametrize("password", ["sec/ret", "se?cret", "se#c/ret", "sec:ret", "sec%ret"])
async def test_a_password_that_is_not_escaped_is_not_told(password: str) -> None:
    with pytest.raises(ConfigError) as refused:
        async with open_mongo(f"mongodb://user:{password}@host/db", "kit"):
            raise AssertionError("opened")
    assert "ret" not in str(refused.value)


async def test_no_server_is_unavailable_in_time() -> None:
    """Nobody listens; somebody listens and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as closed:
        ports = [silent.getsockname()[1], closed.getsockname()[1]]
        closed.close()
        for port in ports:
            async with open_mongo(f"mongodb://127.0.0.1:{port}", "kit") as db:
                started = time.monotonic()
                with pytest.raises(Unavailable):
                    async with mongo_calls():
                        await db.things.insert_one({"_id": 1})
                assert time.monotonic() - started < 2


async def test_a_duplicate_key_and_a_bug_stay_what_they_are(db: Mongo) -> None:
    async with mongo_calls():
        await db.things.insert_one({"_id": 1})
    with pytest.raises(DuplicateKeyError):
        async with mongo_calls():
            await db.things.insert_one({"_id": 1})
    with pytest.raises(OperationFailure):
        async with mongo_calls():
            await db.things.update_one({"_id": 1}, {"$nonsense": {"x": 1}})


@pytest.mark.parametrize("code", [6, 134, 189, 262])
async def test_what_a_member_of_a_replica_set_cannot_do_now_is_unavailable(code: int) -> None:
    """A host out of reach, no majority yet, a primary that steps down, no time left: as the server says it."""
    with pytest.raises(Unavailable):
        async with mongo_calls():
            _check_command_response({"ok": 0, "code": code, "errmsg": "not now"}, max_wire_version=21)


async def test_a_crowd_behind_a_server_that_hangs_is_told_in_time() -> None:
    """More calls than the driver has threads: those that wait for one are cut off too."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with open_mongo(f"mongodb://127.0.0.1:{silent.getsockname()[1]}", "kit") as db:

            async def call() -> None:
                async with mongo_calls():
                    await db.things.find_one({"_id": 1})

            started = time.monotonic()
            outcomes = await asyncio.gather(*(call() for _ in range(100)), return_exceptions=True)
            assert time.monotonic() - started < 2
            assert {type(outcome) for outcome in outcomes} == {Unavailable}


async def test_what_is_written_is_of_the_majority(db: Mongo) -> None:
    """Whatever the URL leaves out."""
    assert db.write_concern.document == {"w": "majority", "j": True}
    assert db.read_concern.level == "majority"
    assert db.things.write_concern.document == {"w": "majority", "j": True}


async def test_migrations_are_applied_in_order_and_once(db: Mongo) -> None:
    applied: list[str] = []

    def step(name: str) -> Migration:
        async def apply(_db: Mongo) -> None:
            applied.append(name)

        return Migration(name, apply)

    await migrate(db, [step("1"), step("2")])
    await migrate(db, [step("1"), step("2"), step("3")])
    assert applied == ["1", "2", "3"]


async def test_a_migration_that_was_cut_off_is_applied_again(db: Mongo) -> None:
    """And those after it wait for it."""
    attempts = 0

    async def cut_off_once(db: Mongo) -> None:
        nonlocal attempts
        attempts += 1
        await db.things.update_one({"_id": "made"}, {"$setOnInsert": {"by": "the migration"}}, upsert=True)
        if attempts == 1:
            raise ConnectionResetError

    async def after(db: Mongo) -> None:
        assert attempts == 2

    migrations = [Migration("1", cut_off_once), Migration("2", after)]
    with pytest.raises(ConnectionResetError):
        await migrate(db, migrations)
    await migrate(db, migrations)
    assert await db.things.count_documents({}) == 1
    assert {it["_id"] async for it in db.migrations.find({})} == {"1", "2"}


async def test_a_user_that_the_server_does_not_let_in_is_a_config_error(db: Mongo) -> None:
    """One line at the start, not a crash; another refusal is a bug, and stays one."""

    def refused(code: int) -> Migration:
        async def apply(_db: Mongo) -> None:
            _check_command_response({"ok": 0, "code": code, "errmsg": "Authentication failed."}, max_wire_version=21)

        return Migration("1", apply)

    with pytest.raises(ConfigError, match=r"PARLEY_MONGO_URL: Authentication failed\."):
        await migrate(db, [refused(18)])
    with pytest.raises(OperationFailure):
        await migrate(db, [refused(2)])


async def test_many_processes_may_migrate_at_once(db: Mongo) -> None:
    async def apply(db: Mongo) -> None:
        await db.things.create_index("name", unique=True)

    await asyncio.gather(*(migrate(db, [Migration("1", apply)]) for _ in range(8)))
    assert "name_1" in await db.things.index_information()


class Beaten:
    """A database in which another process always makes the collection just before."""

    def __init__(self, db: Mongo) -> None:
        self._db = db
        self.command = db.command

    async def create_collection(self, name: str, **options: Any) -> None:
        await self._db.create_collection(name)
        await self._db.create_collection(name, **{**options, "check_exists": False})


async def test_a_collection_that_another_process_makes_meanwhile_gets_the_shape(db: Mongo) -> None:
    shape = {"required": ["name"], "properties": {"name": {"bsonType": "string"}}}
    await define_collection(cast("Mongo", Beaten(db)), "things", shape)
    with pytest.raises(WriteError):
        await db.things.insert_one({"_id": 1})
    await define_collection(db, "things", {"required": ["_id"]})
    await db.things.insert_one({"_id": 1})

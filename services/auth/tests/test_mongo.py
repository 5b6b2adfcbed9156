"""The stores on MongoDB: the contract, races, and the shape that the server holds documents to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from pymongo.errors import WriteError

from parley_auth.adapters.mongo import MIGRATIONS, MongoRefreshFamilies, MongoUsers, families
from parley_auth.domain.family import Family
from parley_auth.testing.contract import StoresContract
from parley_auth.testing.families import NOW, SECOND, new_token
from parley_auth.testing.users import new_account
from parley_kit.ids import new_id
from parley_kit.mongo import Mongo, migrate, open_mongo
from parley_kit.waiting import until_available


@pytest.fixture
async def database(mongo_url: str) -> AsyncIterator[Mongo]:
    async with open_mongo(mongo_url, f"auth-{new_id()}") as db:
        await migrate(db, MIGRATIONS)
        yield db
        await db.client.drop_database(db.name)


@pytest.fixture
def users(database: Mongo) -> MongoUsers:
    return MongoUsers(database)


@pytest.fixture
def store(database: Mongo) -> MongoRefreshFamilies:
    return MongoRefreshFamilies(database)


class TestMongo(StoresContract):
    @pytest.fixture
    def users(self, database: Mongo) -> MongoUsers:
        return MongoUsers(database)

    @pytest.fixture
    def families(self, database: Mongo) -> MongoRefreshFamilies:
        return MongoRefreshFamilies(database)


async def test_fifty_processes_agree_on_the_first_use(mongo_url: str, database: Mongo) -> None:
    """Each on a connection of its own, as so many processes would be; who is told to come again does."""
    family = Family(new_id(), new_id(), NOW)
    token = new_token(family)
    await MongoRefreshFamilies(database).start(family, token)

    async def use(count: int) -> object:
        async with open_mongo(mongo_url, database.name) as db:
            redeem = partial(MongoRefreshFamilies(db).redeem, token.digest, NOW + count * SECOND)
            redeemed = await until_available("mongodb", redeem)
            return redeemed and redeemed.first_used_at

    assert len(set(await asyncio.gather(*map(use, range(50)))) - {None}) == 1


async def test_of_ends_at_once_one_is_the_first(store: MongoRefreshFamilies) -> None:
    family = Family(new_id(), new_id(), NOW)
    await store.start(family, new_token(family))
    ends = await asyncio.gather(*(store.end(family.id, NOW + count * SECOND) for count in range(16)))
    assert ends.count(True) == 1
    (ended,) = await store.ended_since(NOW)
    assert ended == replace(family, ended_at=NOW + ends.index(True) * SECOND)


async def test_what_the_driver_repeats_does_no_harm(users: MongoUsers, store: MongoRefreshFamilies) -> None:
    """As after an answer that was lost: the same call again succeeds, and changes nothing."""
    account, family = new_account(), Family(new_id(), new_id(), NOW)
    root = new_token(family)
    for _ in range(2):
        await users.add(account)
        await store.start(family, root)
        await store.issue(child := replace(new_token(family, root), digest=b"c" * 32))
    assert await users.find_account(account.user.email) == account
    await store.redeem(child.digest, NOW)
    await store.issue(child)
    found = await store.find(child.digest)
    assert found is not None
    assert found[1].first_used_at == NOW


async def test_a_purge_of_many_goes_by_batches(
    store: MongoRefreshFamilies, database: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stays does not stop it, nor does what a crashed purge left of a family."""
    monkeypatch.setattr(families, "PURGED_AT_ONCE", 3)
    sessions = [Family(new_id(), new_id(), NOW) for _ in range(8)]
    for family in sessions:
        await store.start(family, new_token(family))
    await store.end(sessions[0].id, NOW + SECOND)
    await database.refresh_families.delete_one({"_id": sessions[1].id})
    lasting = Family(new_id(), new_id(), NOW)
    await store.start(lasting, new_token(lasting, expires_at=NOW + timedelta(days=1)))
    await store.purge(NOW + SECOND, NOW + SECOND)
    left = {document["_id"] async for document in database.refresh_families.find()}
    assert left == {sessions[0].id, lasting.id}
    assert {document["family_id"] async for document in database.refresh_tokens.find()} == left


async def test_the_server_refuses_what_has_another_shape(database: Mongo) -> None:
    with pytest.raises(WriteError):
        await database.users.insert_one({"_id": new_id(), "email": "a@example.org"})
    with pytest.raises(WriteError):
        await database.refresh_tokens.insert_one({"_id": "no digest", "family_id": "", "expires_at": NOW, "spent": 0})


async def test_many_processes_migrate_at_once_and_again(mongo_url: str) -> None:
    async with open_mongo(mongo_url, f"auth-{new_id()}") as db:
        await asyncio.gather(*(migrate(db, MIGRATIONS) for _ in range(5)))
        await db.migrations.delete_many({})
        await migrate(db, MIGRATIONS)
        assert {document["_id"] async for document in db.migrations.find()} == {step.name for step in MIGRATIONS}
        assert (await db.users.index_information())["by_email"]["unique"]
        await db.client.drop_database(db.name)

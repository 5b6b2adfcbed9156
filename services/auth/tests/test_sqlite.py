"""The stores on SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from parley_auth.adapters.sqlite import SqliteRefreshFamilies, SqliteUsers, open_store
from parley_auth.domain.family import Family
from parley_auth.testing.contract import StoresContract
from parley_auth.testing.families import NOW, new_token
from parley_auth.testing.users import new_account
from parley_kit.ids import new_id
from parley_kit.sqlite import Database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_store(tmp_path / "auth.sqlite3") as database:
        yield database


class TestSqlite(StoresContract):
    @pytest.fixture
    def users(self, database: Database) -> SqliteUsers:
        return SqliteUsers(database)

    @pytest.fixture
    def families(self, database: Database) -> SqliteRefreshFamilies:
        return SqliteRefreshFamilies(database)


async def test_everything_survives_a_restart(tmp_path: Path) -> None:
    path, account = tmp_path / "auth.sqlite3", new_account()
    family = Family(new_id(), account.user.id, NOW)
    token = new_token(family)
    async with open_store(path) as database:
        await SqliteUsers(database).add(account)
        await SqliteRefreshFamilies(database).start(family, token)
        await SqliteRefreshFamilies(database).end(family.id, NOW)
    async with open_store(path) as database:
        assert await SqliteUsers(database).find_account(account.user.email) == account
        assert await SqliteRefreshFamilies(database).find(token.digest) == (replace(family, ended_at=NOW), token)

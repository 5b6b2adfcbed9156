"""The stores on SQLite."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from parley_auth.adapters.sqlite import SqliteRefreshFamilies, SqliteUsers, open_store
from parley_auth.domain.family import Family
from parley_auth.testing.contract import StoresContract
from parley_auth.testing.families import NOW, new_token
from parley_auth.testing.users import new_account
from parley_kit.errors import Unavailable
from parley_kit.ids import new_id
from parley_kit.settings import ConfigError
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


async def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    async with open_store(tmp_path / "auth.sqlite3") as database:
        await SqliteUsers(database).add(new_account())
        assert _modes(tmp_path) == {0o600}


def _modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def test_a_closed_store_is_unavailable(tmp_path: Path) -> None:
    async with open_store(tmp_path / "auth.sqlite3") as database:
        users = SqliteUsers(database)
    with pytest.raises(Unavailable):
        await users.find(new_id())
    with pytest.raises(Unavailable):
        await users.add(new_account())


async def test_a_path_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent.auth\.sqlite3"):
        async with open_store(tmp_path / "absent" / "auth.sqlite3"):
            pass

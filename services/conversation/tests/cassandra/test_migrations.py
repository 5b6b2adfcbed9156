"""The schema: brought up to date once, whoever starts first, and never changed behind our back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest
from cassandra.cluster import Session as Driver

from parley_conversation.adapters.cassandra import open_chat_log
from parley_conversation.adapters.cassandra.connection import Target
from parley_conversation.adapters.cassandra.migrations import LOCK_SECONDS, Migration, bundled, migrate
from parley_conversation.settings import ConversationSettings
from parley_conversation.testing.harness import message
from parley_kit.errors import Unavailable
from parley_kit.ids import new_id
from parley_kit.settings import ConfigError

SECONDS = 20
ONE = Migration("0001_one", "-- a comment; with a semicolon\nCREATE TABLE IF NOT EXISTS one (id text PRIMARY KEY);\n")
TWO = Migration("0002_two", "ALTER TABLE one ADD IF NOT EXISTS b text;\nALTER TABLE one ADD IF NOT EXISTS c text;")
INSERT = "INSERT INTO {}.one (id, b, c) VALUES ('1', '2', '3')"
TAKE = "INSERT INTO {}.migration_locks (name, holder) VALUES ('schema', uuid()) IF NOT EXISTS"
TIME_LEFT = "SELECT TTL(holder) FROM {}.migration_locks WHERE name = 'schema'"
APPLIED = "SELECT name, checksum FROM {}.migrations"
RELEASE = "DELETE FROM {}.migration_locks WHERE name = 'schema' IF EXISTS"


@pytest.fixture
def target(cassandra: str, driver: Driver) -> Iterator[Target]:
    """A keyspace that is not there yet."""
    target = Target.parse(cassandra, f"test_{new_id().replace('-', '')}", "datacenter1", 1)
    yield target
    driver.execute(f"DROP KEYSPACE IF EXISTS {target.keyspace}", timeout=SECONDS)


def test_what_is_missing_is_applied_in_order(driver: Driver, target: Target) -> None:
    """A second time nothing is, and a later version adds its own."""
    for known in ([ONE], [ONE], [ONE, TWO], [ONE, TWO]):
        migrate(driver, target, known)
        assert _applied(driver, target) == {each.name: each.checksum for each in known}
    driver.execute(INSERT.format(target.keyspace), timeout=SECONDS)


def test_the_keyspace_has_its_replication(driver: Driver, target: Target) -> None:
    """By datacenter; what an operator changed later stays."""
    migrate(driver, target, [ONE])
    assert _replication(driver, target) == {"datacenter1": "1"}
    migrate(driver, replace(target, replication=2), [ONE])
    assert _replication(driver, target) == {"datacenter1": "1"}


def test_a_migration_changed_afterwards_is_refused(driver: Driver, target: Target) -> None:
    """By name, before anything else is applied."""
    migrate(driver, target, [ONE])
    with pytest.raises(ConfigError, match="0001_one"):
        migrate(driver, target, [replace(ONE, cql=ONE.cql + "--"), TWO])
    assert _applied(driver, target) == {ONE.name: ONE.checksum}


def test_one_process_at_a_time_changes_the_schema(driver: Driver, target: Target) -> None:
    """The others are told to come again; the lock is released, also when a migration fails."""
    migrate(driver, target, [])
    driver.execute(TAKE.format(target.keyspace), timeout=SECONDS)
    with pytest.raises(Unavailable, match="another process"):
        migrate(driver, target, [ONE])
    assert _applied(driver, target) == {}
    driver.execute(RELEASE.format(target.keyspace), timeout=SECONDS)
    with pytest.raises(Exception, match="nonsense"):
        migrate(driver, target, [Migration("0001_bad", "CREATE nonsense;")])
    migrate(driver, target, [ONE])
    assert _applied(driver, target) == {ONE.name: ONE.checksum}


def test_the_lock_of_a_process_that_died_ends(driver: Driver, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a time to live, longer than a migration takes."""
    left: list[int] = []

    class Spy(Migration):
        @property
        def statements(self) -> list[str]:
            left.extend(row[0] for row in driver.execute(TIME_LEFT.format(target.keyspace), timeout=SECONDS))
            return []

    migrate(driver, target, [Spy("0001_spy", "")])
    assert left
    assert 0.8 * LOCK_SECONDS < left[0] <= LOCK_SECONDS


async def test_many_processes_may_start_at_once(cassandra: str, driver: Driver, target: Target) -> None:
    """On no keyspace at all; each of them then writes and reads."""
    settings = ConversationSettings.load(
        service_token="x" * 32, cassandra_hosts=cassandra, cassandra_keyspace=target.keyspace
    )
    conversation_id = new_id()

    async def start(seq: int) -> None:
        async with open_chat_log(settings) as log:
            await log.append(message(conversation_id, seq))
            assert seq in [each.seq for each in await log.before(conversation_id, None, 10)]

    await asyncio.gather(*map(start, range(1, 5)))
    assert _applied(driver, target) == {each.name: each.checksum for each in bundled()}


def _applied(driver: Driver, target: Target) -> dict[str, str]:
    return dict(driver.execute(APPLIED.format(target.keyspace), timeout=SECONDS))


def _replication(driver: Driver, target: Target) -> dict[str, str]:
    query = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = %s"
    found = dict(driver.execute(query, [target.keyspace], timeout=SECONDS).one()[0])
    assert found.pop("class").endswith("NetworkTopologyStrategy")
    return found

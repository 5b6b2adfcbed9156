"""The schema, brought up to date by the ordered .cql files beside this module; any number of processes may try at once.

One changes the schema at a time, the holder of a lock row taken by a lightweight transaction: two nodes that create one
table at once give it two ids, and then disagree for ever (CASSANDRA-9933). The lock's own table has an id made from
its name, so that it is the same table whoever creates it. The lock frees itself after LOCK_SECONDS.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files

from cassandra.cluster import ResultSet, Session
from cassandra.query import SimpleStatement

from parley_conversation.adapters.cassandra.connection import Target
from parley_kit.errors import Unavailable
from parley_kit.settings import ConfigError

SCHEMA_SECONDS = 20.0
LOCK_SECONDS = 120
_LOCK = "schema"


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema. Each of its statements says IF NOT EXISTS: a crash may come between two of them."""

    name: str
    cql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.cql.encode()).hexdigest()

    @property
    def statements(self) -> Sequence[str]:
        lines = [line for line in self.cql.splitlines() if not line.lstrip().startswith("--")]
        return [statement.strip() for statement in "\n".join(lines).split(";") if statement.strip()]


def bundled() -> Sequence[Migration]:
    """The migrations that this version knows, oldest first."""
    folder = files(__package__) / "migrations"
    found = sorted((file for file in folder.iterdir() if file.name.endswith(".cql")), key=lambda file: file.name)
    return [Migration(file.name.removesuffix(".cql"), file.read_text("utf-8")) for file in found]


def migrate(session: Session, target: Target, migrations: Sequence[Migration]) -> None:
    """Make the keyspace and apply what it lacks. Blocks.

    Raises ConfigError for a migration that was changed after it had been applied, Unavailable while another process
    migrates or the nodes do not agree on the schema, and what the driver raises.
    """
    _prepare_keyspace(session, target)
    if not _missing(session, target.keyspace, migrations):
        return
    with _lock(session, target.keyspace):
        for migration in _missing(session, target.keyspace, migrations):
            for statement in migration.statements:
                _change(session, statement, target.keyspace)
            _run(
                session,
                target.keyspace,
                "INSERT INTO migrations (name, checksum) VALUES (%s, %s)",
                migration.name,
                migration.checksum,
            )


def _prepare_keyspace(session: Session, target: Target) -> None:
    """A keyspace that exists is left as it is: its replication is the operator's to change."""
    if session.cluster.metadata.keyspaces.get(target.keyspace) is None:
        datacenter = target.datacenter.replace("'", "''")
        _change(
            session,
            f"CREATE KEYSPACE IF NOT EXISTS {target.keyspace} WITH replication = "
            f"{{'class': 'NetworkTopologyStrategy', '{datacenter}': {target.replication}}}",
        )
    for table, columns in {
        "migrations": "name text PRIMARY KEY, checksum text",
        "migration_locks": "name text PRIMARY KEY, holder uuid",
    }.items():
        table_id = uuid.uuid5(uuid.NAMESPACE_URL, f"parley:{target.keyspace}/{table}")
        _change(session, f"CREATE TABLE IF NOT EXISTS {table} ({columns}) WITH id = {table_id}", target.keyspace)


def _missing(session: Session, keyspace: str, migrations: Sequence[Migration]) -> Sequence[Migration]:
    applied: Mapping[str, str] = dict(_run(session, keyspace, "SELECT name, checksum FROM migrations"))
    for migration in migrations:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise ConfigError(f"Cassandra: migration {migration.name} was changed after it had been applied")
    return [migration for migration in migrations if migration.name not in applied]


@contextmanager
def _lock(session: Session, keyspace: str) -> Iterator[None]:
    holder = uuid.uuid4()
    take = "INSERT INTO migration_locks (name, holder) VALUES (%s, %s) IF NOT EXISTS USING TTL %s"
    if not _run(session, keyspace, take, _LOCK, holder, LOCK_SECONDS).was_applied:
        raise Unavailable("another process brings Cassandra's schema up to date")
    try:
        yield
    finally:
        _run(session, keyspace, "DELETE FROM migration_locks WHERE name = %s IF holder = %s", _LOCK, holder)


def _change(session: Session, cql: str, keyspace: str | None = None) -> None:
    """Raises Unavailable unless all nodes agree on the schema afterwards."""
    result = session.execute(SimpleStatement(cql, keyspace=keyspace), timeout=SCHEMA_SECONDS)
    if not result.response_future.is_schema_agreed:
        raise Unavailable("the Cassandra nodes do not agree on the schema yet")


def _run(session: Session, keyspace: str, cql: str, *values: object) -> ResultSet:
    return session.execute(SimpleStatement(cql, keyspace=keyspace), values or None, timeout=SCHEMA_SECONDS)

"""SQLite for asyncio: one writer thread that commits together what waits, and readers that never wait for it.

WAL with synchronous=FULL: what `write` returned survives the kill of the process and the loss of power
(https://www.sqlite.org/wal.html). A commit costs one fsync, shared by all the changes that waited for it.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any, TypeVar

from parley_kit.errors import Unavailable
from parley_kit.settings import ConfigError

T = TypeVar("T")
Query = Callable[[sqlite3.Connection], T]
_Job = tuple[Query[Any], "Future[Any]"]

BUSY_SECONDS = 5.0
READERS = 2
MOST_IN_A_COMMIT = 256


class Database:
    """An open SQLite file. Functions given to `read` and `write` run in other threads: plain SQL, no waiting."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix=f"{path.stem}-read")
        self._writer = threading.Thread(target=self._write_all, name=f"{path.stem}-write", daemon=True)
        self._writer.start()
        self._closed = False

    async def read(self, query: Query[T]) -> T:
        """What `query` finds; it sees every write that returned before. Raises Unavailable."""
        if self._closed:
            raise Unavailable("the database is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, query)
        except sqlite3.OperationalError as error:
            raise Unavailable(f"the database cannot be read: {error}") from error

    async def write(self, change: Query[T]) -> T:
        """Apply `change` atomically; it is durable once this returns.

        A sqlite3.IntegrityError undoes the change and is raised as it is. Anything wrong with the file is Unavailable;
        then the change may or may not have been made. Cancelling the wait does not undo it.
        """
        if self._closed:
            raise Unavailable("the database is closed")
        future: Future[T] = Future()
        self._jobs.put((change, future))
        try:
            return await asyncio.shield(asyncio.wrap_future(future))
        except sqlite3.OperationalError as error:
            raise Unavailable(f"the database cannot be written: {error}") from error

    def _read(self, query: Query[T]) -> T:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = connect(self._path)
            connection.execute("PRAGMA query_only = ON")
            self._opened.append(connection)
        return query(connection)

    def _write_all(self) -> None:
        with closing(connect(self._path)) as connection:
            while (job := self._jobs.get()) is not None:
                jobs = [job]
                stop = False
                with suppress(queue.Empty):
                    while len(jobs) < MOST_IN_A_COMMIT and not stop:
                        waiting = self._jobs.get_nowait()
                        stop = waiting is None
                        if waiting is not None:
                            jobs.append(waiting)
                _commit(connection, jobs)
                if stop:
                    return

    def close(self) -> None:
        """Finish what was accepted, then close every connection. Blocks for as long as that takes."""
        self._closed = True
        self._jobs.put(None)
        self._writer.join()
        self._readers.shutdown()
        for connection in self._opened:
            connection.close()


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode, set up as this module promises. Rows are sqlite3.Row."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _commit(connection: sqlite3.Connection, jobs: Sequence[_Job]) -> None:
    """All the jobs in one transaction, each undone alone when it fails."""
    outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        for change, future in jobs:
            outcomes.append((future, *_apply(connection, change)))
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        outcomes = [(future, None, error) for _, future in jobs]
    for future, result, failure in outcomes:
        if failure is None:
            future.set_result(result)
        else:
            future.set_exception(failure)


def _apply(connection: sqlite3.Connection, change: Query[Any]) -> tuple[Any, BaseException | None]:
    connection.execute("SAVEPOINT job")
    try:
        result, failure = change(connection), None
    except Exception as error:
        if not connection.in_transaction:
            raise
        connection.execute("ROLLBACK TO job")
        result, failure = None, error
    connection.execute("RELEASE job")
    return result, failure


def migrate(path: Path, migrations: Sequence[str]) -> None:
    """Bring the file to the last of the ordered SQL scripts. Raises ConfigError for a file of a newer version."""
    with closing(connect(path)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(migrations):
            connection.execute("ROLLBACK")
            raise ConfigError(f"{path} was written by a newer version of Parley (schema {version})")
        for script in migrations[version:]:
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")


def _statements(script: str) -> list[str]:
    """The statements of a script. Unlike executescript, running them one by one does not end the transaction."""
    statements, pending = [], ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements


@asynccontextmanager
async def open_database(path: Path, migrations: Sequence[str]) -> AsyncIterator[Database]:
    """The database at `path`, made or migrated first. Raises ConfigError when the file cannot be used."""
    try:
        await asyncio.to_thread(migrate, path, migrations)
    except sqlite3.Error as error:
        raise ConfigError(f"cannot use {path}: {error}") from None
    database = Database(path)
    try:
        yield database
    finally:
        await asyncio.to_thread(database.close)

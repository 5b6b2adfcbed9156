"""SQLite for asyncio: one writer thread that commits together what waits, and readers that never wait for it.

WAL with synchronous=FULL: what `write` returned survives the kill of the process and the loss of power
(https://www.sqlite.org/wal.html). A commit costs one fsync, shared by all the changes that waited for it.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from parley_kit.errors import Unavailable
from parley_kit.settings import ConfigError

T = TypeVar("T")
Query = Callable[[sqlite3.Connection], T]
_Job = tuple[Query[Any], "Future[Any]"]

BUSY_SECONDS = 5.0
LOOK_BUSY_MILLISECONDS = 100
READERS = 4
MOST_IN_A_COMMIT = 256


class Database:
    """An open SQLite file. Functions given to `read` and `write` run in other threads: plain SQL, no waiting."""

    def __init__(self, path: Path) -> None:
        """Blocks while it opens the file; raises sqlite3.Error when it cannot."""
        self._path = path
        self._closed = False
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._here = self._connect()
        self._here.execute(f"PRAGMA busy_timeout = {LOOK_BUSY_MILLISECONDS}")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix=f"{path.stem}-read")
        arguments = (connect(path), self._jobs)
        self._writer = threading.Thread(target=_write_all, args=arguments, name=f"{path.stem}-write", daemon=True)
        self._writer.start()

    async def read(self, query: Query[T]) -> T:
        """What `query` finds; it sees every write that returned before. Raises Unavailable."""
        with self._available("read"):
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, query)

    def look(self, query: Query[T]) -> T:
        """As `read`, at once and on the loop: for the few small rows that an index finds.

        They take microseconds; the way to another thread and back takes a hundred, and more when the loop is busy.
        """
        with self._available("read"):
            return query(self._here)

    async def write(self, change: Query[T]) -> T:
        """Apply `change` atomically; it is durable once this returns.

        A sqlite3.IntegrityError undoes the change and is raised as it is. Anything wrong with the file is Unavailable;
        then the change may or may not have been made. Cancelling the wait does not undo it.
        """
        with self._available("written"):
            future: Future[T] = Future()
            self._jobs.put((change, future))
            return await asyncio.shield(asyncio.wrap_future(future))

    @contextmanager
    def _available(self, what: str) -> Iterator[None]:
        if self._closed:
            raise Unavailable("the database is closed")
        try:
            yield
        except sqlite3.DatabaseError as error:
            if not _is_the_files(error):
                raise
            raise Unavailable(f"the database cannot be {what}: {error}") from error

    def _read(self, query: Query[T]) -> T:
        if not hasattr(self._local, "connection"):
            self._local.connection = self._connect()
        return query(self._local.connection)

    def _connect(self) -> sqlite3.Connection:
        """A connection for reading, closed at the end."""
        connection = connect(self._path)
        connection.execute("PRAGMA query_only = ON")
        self._opened.append(connection)
        return connection

    async def close(self) -> None:
        """Finish what was accepted, then close every connection."""
        self._closed = True  # on the loop, as are `read` and `write`: nothing is accepted behind the end mark
        self._jobs.put(None)
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        self._writer.join()
        self._readers.shutdown()
        for connection in self._opened:
            connection.close()


def _is_the_files(error: sqlite3.DatabaseError) -> bool:
    """Full, locked, damaged: not the caller's data (IntegrityError) or misuse (ProgrammingError)."""
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode, set up as this module promises. Rows are sqlite3.Row."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _write_all(connection: sqlite3.Connection, jobs: queue.SimpleQueue[_Job | None]) -> None:
    """The writer's thread: commit all that waits, wait for more, until the end mark."""
    with closing(connection):
        job = jobs.get()
        while job is not None:
            together = [job]
            while len(together) < MOST_IN_A_COMMIT and not jobs.empty() and (job := jobs.get()) is not None:
                together.append(job)
            _commit(connection, together)
            job = None if job is None else jobs.get()


def _commit(connection: sqlite3.Connection, jobs: Sequence[_Job]) -> None:
    """All the jobs in one transaction, each undone alone when it fails."""
    outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        for change, future in jobs:
            outcomes.append((future, *_apply(connection, change)))
        connection.execute("COMMIT")
    except Exception as error:  # noqa: BLE001 - handed to every caller; the thread lives on
        with suppress(sqlite3.Error):
            connection.rollback()
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
    """Bring the file to the last of the ordered SQL scripts. Raises ConfigError for a file of a newer version.

    A new file is for its owner's eyes only; SQLite gives the files beside it the same mode.
    """
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
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
    if pending.strip():
        raise ValueError(f"a migration ends within a statement: {pending.strip()}")
    return statements


@asynccontextmanager
async def open_database(path: Path, migrations: Sequence[str]) -> AsyncIterator[Database]:
    """The database at `path`, made or migrated first. Raises ConfigError when the file cannot be used."""
    try:
        await asyncio.to_thread(migrate, path, migrations)
        database = await asyncio.to_thread(Database, path)
    except (sqlite3.Error, OSError) as error:
        raise ConfigError(f"cannot use {path}: {error}") from None
    try:
        yield database
    finally:
        await database.close()

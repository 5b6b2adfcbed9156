"""What `parley_kit.sqlite` promises its adapters."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from parley_kit.errors import Unavailable
from parley_kit.settings import ConfigError
from parley_kit.sqlite import Database, Query, open_database

MIGRATIONS = ["CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);\n"]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "notes.sqlite3", MIGRATIONS) as database:
        yield database


def insert(text: str | None) -> Query[int]:
    return lambda db: db.execute("INSERT INTO notes (text) VALUES (?) RETURNING id", (text,)).fetchone()[0]


def count(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM notes").fetchone()[0])


async def test_a_read_sees_every_write_that_returned(database: Database) -> None:
    for number in range(20):
        await database.write(insert(str(number)))
        assert database.look(count) == number + 1
        assert await database.read(count) == number + 1


async def test_concurrent_writes_all_happen(database: Database) -> None:
    ids = await asyncio.gather(*(database.write(insert(str(n))) for n in range(1000)))
    assert len(set(ids)) == 1000


async def test_one_failing_change_undoes_itself_alone(database: Database) -> None:
    def twice(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO notes (text) VALUES ('half')")
        db.execute("INSERT INTO notes (text) VALUES (NULL)")

    results = await asyncio.gather(
        database.write(insert("before")),
        database.write(twice),
        database.write(insert("after")),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [int, sqlite3.IntegrityError, int]
    assert await database.read(count) == 2


async def test_a_read_cannot_write(database: Database) -> None:
    with pytest.raises(Unavailable):
        await database.read(insert("sneaked in"))
    with pytest.raises(Unavailable):
        database.look(insert("sneaked in"))


async def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    async with open_database(tmp_path / "notes.sqlite3", MIGRATIONS) as database:
        await database.write(insert("private"))  # type: ignore[arg-type]
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


async def test_closed_is_unavailable(tmp_path: Path) -> None:
    async with open_database(tmp_path / "notes.sqlite3", MIGRATIONS) as database:
        pass
    with pytest.raises(Unavailable):
        await database.read(count)
    with pytest.raises(Unavailable):
        database.look(count)


async def test_closing_answers_every_write(tmp_path: Path) -> None:
    async with open_database(tmp_path / "notes.sqlite3", MIGRATIONS) as database:
        writes = [asyncio.create_task(database.write(insert(str(n)))) for n in range(300)]
        await asyncio.sleep(0)
        late = asyncio.create_task(database.write(insert("late")))
    async with asyncio.timeout(10):
        done = await asyncio.gather(*writes, late, return_exceptions=True)
    assert [type(result) for result in done] == [int] * 300 + [Unavailable]


async def test_a_full_disk_is_unavailable_and_passes(database: Database) -> None:
    (pages,) = await database.write(lambda db: db.execute("PRAGMA page_count").fetchone())
    await database.write(lambda db: db.execute(f"PRAGMA max_page_count = {pages}"))
    with pytest.raises(Unavailable, match="full"):
        await database.write(insert("x" * 100_000))
    assert await database.read(count) == 0
    await database.write(lambda db: db.execute("PRAGMA max_page_count = 1000000"))
    await database.write(insert("x" * 100_000))
    assert await database.read(count) == 1


async def test_a_look_does_not_wait_for_the_writer(database: Database) -> None:
    """Neither for its thread nor for its transaction."""
    begun, may_end = threading.Event(), threading.Event()

    def slow(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO notes (text) VALUES ('slow')")
        begun.set()
        may_end.wait(10)

    writing = asyncio.create_task(database.write(slow))
    assert await asyncio.to_thread(begun.wait, 10)
    assert database.look(count) == 0
    may_end.set()
    await writing
    assert database.look(count) == 1


async def test_a_damaged_file_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "notes.sqlite3"
    async with open_database(path, MIGRATIONS) as database:
        await database.write(insert("x" * 100_000))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"damage" * 4096)
    async with open_database(path, MIGRATIONS) as database:
        with pytest.raises(Unavailable, match="malformed"):
            await database.read(lambda db: db.execute("SELECT sum(length(text)) FROM notes").fetchone())


async def test_a_change_that_breaks_the_transaction_does_not_stop_the_writer(database: Database) -> None:
    def breaking(db: sqlite3.Connection) -> None:
        db.execute("ROLLBACK")
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await database.write(breaking)
    await database.write(insert("after"))
    assert await database.read(count) == 1


async def test_a_commit_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    replies = "CREATE TABLE replies (note INTEGER REFERENCES notes (id) DEFERRABLE INITIALLY DEFERRED);\n"
    async with open_database(tmp_path / "notes.sqlite3", [*MIGRATIONS, replies]) as database:
        with pytest.raises(sqlite3.IntegrityError):
            await database.write(lambda db: db.execute("INSERT INTO replies (note) VALUES (7)"))
        await database.write(insert("after"))
        assert await database.read(count) == 1


async def test_a_cancelled_wait_does_not_undo_the_write(database: Database) -> None:
    waiting = asyncio.create_task(database.write(insert("kept")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await database.write(insert("next"))
    assert await database.read(count) == 2


async def test_migrations_run_once_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "notes.sqlite3"
    async with open_database(path, MIGRATIONS) as database:
        await database.write(insert("kept"))
    more = [*MIGRATIONS, "ALTER TABLE notes ADD COLUMN at TEXT;\nCREATE INDEX notes_at ON notes (at);\n"]
    for _ in range(2):
        async with open_database(path, more) as database:
            assert await database.read(lambda db: db.execute("SELECT text, at FROM notes").fetchone()["text"]) == "kept"
    with pytest.raises(ConfigError, match="newer version"):
        async with open_database(path, MIGRATIONS):
            pass


async def test_a_failing_migration_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "notes.sqlite3"
    with pytest.raises(ConfigError):
        async with open_database(path, [*MIGRATIONS, "CREATE TABLE more (x);\nALTER TABLE nowhere ADD COLUMN x;\n"]):
            pass
    async with open_database(path, MIGRATIONS) as database:
        assert await database.read(count) == 0


async def test_an_unfinished_migration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="within a statement"):
        async with open_database(tmp_path / "notes.sqlite3", [*MIGRATIONS, "CREATE TABLE more (x)\n"]):
            pass


async def test_a_file_that_is_no_database_is_one_readable_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.sqlite3"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(ConfigError, match=r"cannot use .*notes\.sqlite3"):
        async with open_database(path, MIGRATIONS):
            pass


KILLED = """
import asyncio, os, pathlib, signal, sys
from parley_kit.sqlite import open_database
async def main():
    async with open_database(pathlib.Path(sys.argv[1]), [sys.argv[2]]) as database:
        for number in range(50):
            await database.write(lambda db: db.execute("INSERT INTO notes (text) VALUES (?)", (str(number),)))
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


async def test_what_returned_survives_sigkill(tmp_path: Path) -> None:
    path = tmp_path / "notes.sqlite3"
    done = subprocess.run([sys.executable, "-c", KILLED, path, MIGRATIONS[0]], timeout=30, check=False)
    assert done.returncode == -9
    async with open_database(path, MIGRATIONS) as database:
        assert await database.read(count) == 50

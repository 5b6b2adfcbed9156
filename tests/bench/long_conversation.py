"""Opening a chat of a million messages beside one of a hundred, in SQLite and in Cassandra.

`.venv/bin/python tests/bench/long_conversation.py [messages of the long one]`

Prints the median time of the newest page, of a page in the middle and of an append in both, taken in turns, and their
ratios. The long chats are loaded past the port, by bulk; Cassandra's without the rows that find a message by its id.
PARLEY_TEST_CASSANDRA names a server; without it one is started.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cassandra.cluster import EXEC_PROFILE_DEFAULT
from cassandra.cluster import Session as Driver
from cassandra.concurrent import execute_concurrent
from cassandra.query import BatchStatement, BatchType
from rich.progress import track

from parley_conversation.adapters.cassandra import open_chat_log
from parley_conversation.adapters.cassandra.codec import MirroredClock, bucket_of, from_message
from parley_conversation.adapters.cassandra.connection import Target, close, connect
from parley_conversation.adapters.cassandra.queries import PUT_BUCKET, PUT_CHILD, PUT_MESSAGE
from parley_conversation.adapters.cassandra.session import prepare
from parley_conversation.adapters.sqlite import chat_log, codec
from parley_conversation.adapters.sqlite.schema import MIGRATIONS
from parley_conversation.domain.conversation import Message
from parley_conversation.ports import ChatLog
from parley_conversation.settings import ConversationSettings
from parley_conversation.testing.harness import message
from parley_kit.ids import new_id
from parley_kit.sqlite import Database, open_database
from parley_local import servers
from parley_local.ports import Ports
from parley_local.testing import run_server

SHORT, PAGE, ROUNDS, WARM_UP = 100, 50, 200, 20
PORTION, BATCH, BATCHES_AT_ONCE = 5_000, 50, 8
LOAD_SECONDS = 60.0
SCHEMA_SECONDS = 20.0

Call = Callable[[int], Awaitable[object]]


def portion(chat: str, first: int, last: int) -> list[Message]:
    """Messages of some 260 characters, each the parent of the next."""
    template = message(chat, 1, "A message of some length. " * 10)
    return [replace(template, seq=seq, id=f"{chat}-{seq}", parent_seq=seq - 1 or None) for seq in range(first, last)]


def portions(chat: str, count: int) -> Iterator[list[Message]]:
    starts = range(1, count + 1, PORTION)
    for first in track(starts, f"{count:,} messages"):
        yield portion(chat, first, min(first + PORTION, count + 1))


async def fill_sqlite(database: Database, chat: str, count: int) -> None:
    for some in portions(chat, count):
        rows = [codec.from_message(each) for each in some]
        await database.write(lambda db, rows=rows: executemany(db, rows))  # type: ignore[misc]


def executemany(db: sqlite3.Connection, rows: list[dict[str, object]]) -> None:
    db.executemany(chat_log._APPEND, rows)


def fill_cassandra(driver: Driver, keyspace: str, chat: str, count: int) -> None:
    """By batches of one partition each: one mutation, one write of the commit log."""
    put, clock = prepare(driver, keyspace), MirroredClock()
    patient = driver.execution_profile_clone_update(EXEC_PROFILE_DEFAULT, request_timeout=LOAD_SECONDS)
    for some in portions(chat, count):
        batches = []
        for bucket in sorted({bucket_of(each.seq) for each in some}):
            driver.execute(put[PUT_BUCKET], (chat, bucket, clock.next()), execution_profile=patient)
            mine = [each for each in some if bucket_of(each.seq) == bucket]
            for first in range(0, len(mine), BATCH):
                batch = BatchStatement(BatchType.UNLOGGED)
                for each in mine[first : first + BATCH]:
                    batch.add(put[PUT_MESSAGE], (chat, bucket, *from_message(each), clock.next()))
                    parent = each.parent_seq or 0
                    child = (chat, bucket_of(parent), parent, each.seq, each.id, clock.next())
                    if bucket_of(parent) == bucket:
                        batch.add(put[PUT_CHILD], child)
                    else:
                        driver.execute(put[PUT_CHILD], child, execution_profile=patient)
                batches.append((batch, ()))
        execute_concurrent(driver, batches, BATCHES_AT_ONCE, execution_profile=patient)


async def milliseconds(short: Call, long: Call) -> tuple[float, float]:
    """Medians, measured in turns, so that what else the machine does falls on both."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(WARM_UP + ROUNDS):
        for call, taken in zip((short, long), times, strict=True):
            started = time.perf_counter()
            await call(number)
            taken.append(time.perf_counter() - started)
    one, other = (statistics.median(taken[WARM_UP:]) * 1000 for taken in times)
    return one, other


async def compare(log: ChatLog, short: str, long: str, count: int) -> None:
    calls: dict[str, tuple[Call, Call]] = {
        "newest page": (lambda _: log.before(short, None, PAGE), lambda _: log.before(long, None, PAGE)),
        "middle page": (
            lambda _: log.before(short, SHORT - 20, PAGE),
            lambda n: log.before(long, count // 2 + 51 + n * 7, PAGE),
        ),
        "append": (
            lambda n: log.append(message(short, SHORT + 1 + n)),
            lambda n: log.append(message(long, count + 1 + n)),
        ),
    }
    for name, (one, other) in calls.items():
        short_ms, long_ms = await milliseconds(one, other)
        ratio = long_ms / short_ms
        print(f"{name:12} {SHORT:>9,}: {short_ms:6.3f} ms   {count:>9,}: {long_ms:6.3f} ms   ratio {ratio:.2f}")


async def sqlite(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with open_database(Path(folder) / "bench.sqlite3", MIGRATIONS) as database:
            await fill_sqlite(database, "short", SHORT)
            await fill_sqlite(database, "long", count)
            await compare(chat_log.SqliteChatLog(database), "short", "long", count)


async def cassandra(address: str, count: int) -> None:
    keyspace = f"bench_{new_id().replace('-', '')}"
    settings = ConversationSettings.load(service_token=new_id(), cassandra_hosts=address, cassandra_keyspace=keyspace)
    async with open_chat_log(settings) as log:
        driver = connect(Target.parse(address, keyspace, settings.cassandra_datacenter, 1))
        try:
            await asyncio.to_thread(fill_cassandra, driver, keyspace, "short", SHORT)
            await asyncio.to_thread(fill_cassandra, driver, keyspace, "long", count)
            await compare(log, "short", "long", count)
        finally:
            driver.execute(f"DROP KEYSPACE {keyspace}", timeout=SCHEMA_SECONDS)
            close(driver)


@contextmanager
def server() -> Iterator[str]:
    if given := os.environ.get("PARLEY_TEST_CASSANDRA"):
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        made = servers.cassandra(Path(folder), Ports())
        with run_server(made, Path(folder) / "log") as process:
            yield process.address


def main() -> None:
    count = int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else 1_000_000
    print("SQLite")
    asyncio.run(sqlite(count))
    print("Cassandra")
    with server() as address:
        asyncio.run(cassandra(address, count))


if __name__ == "__main__":
    main()

"""Opening a chat of a million messages beside one of a hundred: `.venv/bin/python tests/bench/long_conversation.py`.

Prints the median time of the newest page, of a page in the middle and of an append in both, and their ratios.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from parley_conversation.adapters.sqlite.chat_log import _APPEND, SqliteChatLog
from parley_conversation.adapters.sqlite.codec import from_message
from parley_conversation.adapters.sqlite.schema import MIGRATIONS
from parley_conversation.testing.harness import message
from parley_kit.sqlite import Database, open_database

SHORT, LONG, PAGE, ROUNDS = 100, 1_000_000, 50, 200


def fill(db: sqlite3.Connection, chat: str, first: int, last: int) -> None:
    row = from_message(message(chat, 1, "A message of some length. " * 10))
    rows = ({**row, "seq": seq, "id": f"{chat}-{seq}", "parent_seq": seq - 1 or None} for seq in range(first, last))
    db.executemany(_APPEND, rows)


async def fill_both(database: Database) -> None:
    await database.write(lambda db: fill(db, "short", 1, SHORT + 1))
    for first in range(1, LONG, 50_000):
        await database.write(lambda db, first=first: fill(db, "long", first, first + 50_000))  # type: ignore[misc]


async def milliseconds(call: Callable[[int], Awaitable[object]]) -> float:
    times = []
    for number in range(ROUNDS):
        started = time.perf_counter()
        await call(number)
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


async def compare(
    name: str, short: Callable[[int], Awaitable[object]], long: Callable[[int], Awaitable[object]]
) -> None:
    one, other = await milliseconds(short), await milliseconds(long)
    print(f"{name:12} {SHORT:>9,}: {one:6.3f} ms   {LONG:>9,}: {other:6.3f} ms   ratio {other / one:.2f}")


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with open_database(Path(folder) / "bench.sqlite3", MIGRATIONS) as database:
            await fill_both(database)
            log = SqliteChatLog(database)
            await compare(
                "newest page", lambda _: log.before("short", None, PAGE), lambda _: log.before("long", None, PAGE)
            )
            await compare(
                "middle page",
                lambda _: log.before("short", SHORT - 20, PAGE),
                lambda n: log.before("long", LONG // 2 + n * PAGE, PAGE),
            )
            await compare(
                "append",
                lambda n: log.append(message("short", SHORT + 1 + n)),
                lambda n: log.append(message("long", LONG + 1 + n)),
            )


if __name__ == "__main__":
    asyncio.run(main())

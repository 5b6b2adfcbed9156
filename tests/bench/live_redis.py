"""Token streams on Redis: CPU for each entry delivered, from 10 to 1,000 readers, and the time of an append.

Every reader follows a stream of its own; the deltas of all streams together come at a fixed pace from another process,
so that only the number of readers differs. CPU is that of the reading process and of Redis. Appends are those of a
worker: every 30 ms, after a step of its engine, one for all of its 64 streams. Beside each time stands a bare PING at
the same moment, as this machine is never idle.

    .venv/bin/python tests/bench/live_redis.py
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path

from parley_live import Delta, End
from parley_live.redis import RedisLive, RedisSettings, open_redis
from parley_live.testing.servers import RedisServer, running

DELTAS = 10_000
DELTAS_A_SECOND = 1000
READERS = (10, 100, 1000)
WRITERS = 64
STEPS = 100
STEP_SECONDS = 0.03
TEXT = "four tokens of text "


def delta(number: int) -> Delta:
    return Delta(1, 1, number * len(TEXT), TEXT, (101, 102, 103, 104))


async def write(url: str, streams: int) -> None:
    """The writing process: round robin over the streams, in ticks of 10 ms."""
    async with open_redis(RedisSettings(redis_urls=(url,))) as live:
        names = [f"{streams}-{number}" for number in range(streams)]
        await asyncio.gather(*(live.raise_fence(name, 1) for name in names))
        tick = DELTAS_A_SECOND // 100
        began = time.perf_counter()
        for first in range(0, DELTAS, tick):
            await asyncio.sleep(began + first / DELTAS_A_SECOND - time.perf_counter())
            turn = [(names[index % streams], delta(index // streams)) for index in range(first, first + tick)]
            if streams >= tick:
                await asyncio.gather(*(live.append(name, [one]) for name, one in turn))
            else:
                for name, one in turn:
                    await live.append(name, [one])
        await asyncio.gather(*map(live.end, names))


async def read(live: RedisLive, name: str) -> int:
    position, count = None, 0
    while True:
        entries = await live.read(name, position, 30)
        if entries:
            position = entries[-1].position
            count += len(entries)
            if isinstance(entries[-1].value, End):
                return count


async def redis_cpu(server: RedisServer) -> float:
    async with server.client() as client:
        cpu = await client.info("cpu")
        return float(cpu["used_cpu_sys"] + cpu["used_cpu_user"])


async def measure_readers(server: RedisServer, readers: int) -> None:
    async with open_redis(RedisSettings(redis_urls=(server.url,))) as live:
        reading = [asyncio.create_task(read(live, f"{readers}-{number}")) for number in range(readers)]
        await asyncio.sleep(1)
        own, redis = time.process_time(), await redis_cpu(server)
        writer = await asyncio.create_subprocess_exec(sys.executable, __file__, server.url, str(readers))
        delivered = sum(await asyncio.gather(*reading))
        own, redis = time.process_time() - own, await redis_cpu(server) - redis
        await writer.wait()
        print(
            f"{readers:5} readers: {own / delivered * 1e6:5.0f} us CPU an entry in the reading process,"
            f" {redis / delivered * 1e6:4.0f} in Redis; {delivered} delivered"
        )


async def timed(call: Awaitable[object]) -> float:
    began = time.perf_counter()
    await call
    return (time.perf_counter() - began) * 1000


def quantiles(times: list[float]) -> str:
    times.sort()
    return f"p50 {times[len(times) // 2]:.2f} ms, p99 {times[len(times) * 99 // 100]:.2f} ms"


async def measure_appends(server: RedisServer) -> None:
    appends: list[float] = []
    pings: list[float] = []
    async with open_redis(RedisSettings(redis_urls=(server.url,))) as live:
        names = [f"writer-{number}" for number in range(WRITERS)]
        await asyncio.gather(*(live.raise_fence(name, 1) for name in names))
        cpu = time.process_time()
        for step in range(STEPS):
            appends.append(await timed(live.append_all({name: [delta(step)] for name in names})))
            await asyncio.sleep(STEP_SECONDS)
            pings.append(await timed(live.check()))
        cpu = time.process_time() - cpu
    print(f"{WRITERS} streams at once: append {quantiles(appends)}; one PING alone {quantiles(pings)};", end=" ")
    print(f"{cpu / len(appends) / WRITERS * 1e6:.0f} us CPU a stream in the writing process")


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder)) as server:
            for readers in READERS:
                await measure_readers(server, readers)
            await measure_appends(server)


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], int(sys.argv[2])) if len(sys.argv) > 1 else main())

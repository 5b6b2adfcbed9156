"""CPU of each process for a delivered token, and its memory, from 10 to 1,000 open subscriptions in a cluster.

Ten answers are made at a time; 1, 10 and 100 readers follow each, spread over both gateways. A delivery is one token of
one reader, so the same answers cost the gateways more the more read them, and what one delivery costs should not rise.

    PYTHONPATH=tests .venv/bin/python tests/bench/subscriptions.py
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from support.cluster import Cluster, start_cluster
from support.graphql import events, open_http, text_of
from support.people import Person, sign_up
from support.usage import children, cpu_seconds, processes, resident

ANSWERS = 10
READERS = (1, 10, 100)
TOKENS = 60
INTERVAL_MS = 500
SETTINGS = {"PARLEY_WORKER_BACKEND": "scripted", "PARLEY_SCRIPTED_INTERVAL_MS": str(INTERVAL_MS)}


async def read(person: Person, url: str, generation_id: str) -> int:
    seen = [event async for event in events("ws", url, person.token, generation_id)]
    return text_of(seen).count(" ")


async def follow(cluster: Cluster, people: list[Person], readers: int) -> int:
    """Tokens delivered to all the readers of ten answers."""
    async with asyncio.TaskGroup() as running:
        reading = []
        for person in people:
            sent = await person.send(await person.create(), "go", parameters={"maxTokens": TOKENS})
            for number in range(readers):
                url = cluster.urls[number % len(cluster.urls)]
                reading.append(running.create_task(read(person, url, sent["generation"]["id"])))
    return sum(task.result() for task in reading)


async def measure(cluster: Cluster) -> None:
    async with open_http(cluster.url) as http:
        people = [await sign_up(http) for _ in range(ANSWERS)]
        pids = {name: pid for name, pid in processes(cluster).items() if name != "supervisord"}
        show("idle", "MB", {name: megabytes(pid) for name, pid in pids.items()})
        for readers in READERS:
            before, began = {name: cpu_seconds(pid) for name, pid in pids.items()}, time.perf_counter()
            running = asyncio.create_task(follow(cluster, people, readers))
            await asyncio.sleep(TOKENS * INTERVAL_MS / 2000)
            memory = {name: megabytes(pid) for name, pid in pids.items()}
            delivered = await running
            wall = time.perf_counter() - began
            used = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
            print(f"\n{ANSWERS * readers} subscriptions: {delivered} tokens delivered in {wall:.1f} s")
            show("CPU", "us/token", {name: seconds / delivered * 1e6 for name, seconds in used.items()})
            gateways = sum(seconds for name, seconds in used.items() if name.startswith("gateway"))
            print(f"{'both gateways':16}{gateways / delivered * 1e6:8.0f} us/token")
            show("memory", "MB", memory)


def megabytes(pid: int) -> float:
    """Of a process and those that it started: a worker's engine."""
    return sum(map(resident, [pid, *children(pid)]))


def show(what: str, unit: str, values: dict[str, float]) -> None:
    print(f"{what} ({unit}): " + ", ".join(f"{name} {value:.0f}" for name, value in values.items()))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, start_cluster(Path(folder) / "data", settings=SETTINGS) as cluster:
        asyncio.run(measure(cluster))


if __name__ == "__main__":
    main()

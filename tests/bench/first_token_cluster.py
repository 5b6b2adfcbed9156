"""What the real servers add to the first token, with 64 answers in the making, against embedded mode in one run.

Sends arrive at random (a Poisson process) so that some 64 scripted answers are made at any time; each is measured from
`sendMessage` over HTTP to the first delta over WebSocket. The modes take turns.

    PYTHONPATH=tests .venv/bin/python tests/bench/first_token_cluster.py
"""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

from support.cluster import start_cluster
from support.graphql import events, open_http
from support.people import Person, sign_up
from support.platform import start_platform

STREAMS = 64
INTERVAL_MS = 100
TOKENS = 300
ARRIVALS = 160
TURNS = 1
PEOPLE = 16
LEAD_SECONDS = 31.0
"""An answer takes thirty seconds: before that the number of streams is still growing."""
SETTINGS = {
    "PARLEY_WORKER_BACKEND": "scripted",
    "PARLEY_SCRIPTED_INTERVAL_MS": str(INTERVAL_MS),
    "PARLEY_MAX_ACTIVE": "512",
    "PARLEY_MAX_ACTIVE_PER_USER": "512",
}


async def first_token(person: Person) -> float:
    """Seconds to the first delta; the answer is read to its end."""
    conversation = await person.create(title="bench")
    began, first = time.perf_counter(), None
    sent = await person.send(conversation, "go", parameters={"maxTokens": TOKENS})
    async for event in events("ws", person.http.url, person.token, sent["generation"]["id"]):
        if first is None and event["__typename"] == "TokenDelta":
            first = time.perf_counter() - began
    assert first is not None
    return first


async def turn(url: str, seed: int) -> list[float]:
    """The waits of those who came while the platform was under its full load."""
    chance, rate = random.Random(seed), STREAMS / (TOKENS * INTERVAL_MS / 1000)
    async with open_http(url) as http, AsyncExitStack() as stack, asyncio.TaskGroup() as running:
        people = []
        for _ in range(PEOPLE):
            people.append(await sign_up(await stack.enter_async_context(open_http(http.url))))
        began, measured = time.perf_counter(), []
        for number in range(ARRIVALS):
            task = running.create_task(first_token(people[number % PEOPLE]))
            if time.perf_counter() - began > LEAD_SECONDS:
                measured.append(task)
            await asyncio.sleep(chance.expovariate(rate))
        return [await task for task in measured]


def percentiles(seconds: list[float]) -> tuple[float, float]:
    ordered = sorted(seconds)
    return statistics.median(ordered) * 1000, ordered[int(len(ordered) * 0.99) - 1] * 1000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        platform = stack.enter_context(start_platform(Path(folder) / "embedded", settings=SETTINGS))
        cluster = stack.enter_context(start_cluster(Path(folder) / "cluster", settings=SETTINGS))
        urls = {"embedded": platform.url, "cluster": cluster.url}
        waits: dict[str, list[float]] = {mode: [] for mode in urls}
        for number in range(TURNS):
            for mode, url in urls.items():
                waits[mode] += asyncio.run(turn(url, number))
    found = {mode: percentiles(seconds) for mode, seconds in waits.items()}
    for mode, (p50, p99) in found.items():
        print(f"{mode:9} {len(waits[mode]):4} sends: first token p50 {p50:6.1f} ms   p99 {p99:6.1f} ms")
    added = [after - before for before, after in zip(found["embedded"], found["cluster"], strict=True)]
    print(f"the real servers add          p50 {added[0]:6.1f} ms   p99 {added[1]:6.1f} ms")


if __name__ == "__main__":
    main()

"""R5: from the stop to the free slot, in a cluster of one worker that makes one answer at a time.

The slot is free when the next answer, which waits for it, has its first text: that is the stop over GraphQL, the cancel
through Redis, the worker's next step, the fetch from Kafka, the claim, and the first token's way to its reader. The end
that the stopped answer's own reader is told is shown beside it.

    PYTHONPATH=tests .venv/bin/python tests/bench/stop.py
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from contextlib import aclosing
from pathlib import Path

from support.cluster import start_cluster
from support.graphql import events, open_http
from support.people import STOP, Person, sign_up

ROUNDS = 200
WARM_UP = 10
TOKENS = 5_000
SETTINGS = {
    "PARLEY_WORKER_BACKEND": "scripted",
    "PARLEY_SCRIPTED_INTERVAL_MS": "20",
    "PARLEY_WORKER_CAPACITY": "1",
}


class Answer:
    """One answer and its reader; `began` and `ended` hold the moments of its first text and of its end."""

    def __init__(self, person: Person, generation_id: str) -> None:
        self.id = generation_id
        self._person = person
        loop = asyncio.get_running_loop()
        self.began: asyncio.Future[float] = loop.create_future()
        self.ended: asyncio.Future[float] = loop.create_future()
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        person = self._person
        async with aclosing(events("ws", person.http.url, person.token, self.id)) as seen:
            async for _ in seen:
                if not self.began.done():
                    self.began.set_result(time.perf_counter())
        self.ended.set_result(time.perf_counter())


async def ask(person: Person, conversation: str) -> Answer:
    sent = await person.send(conversation, "go", parameters={"maxTokens": TOKENS})
    return Answer(person, sent["generation"]["id"])


async def measure(url: str) -> tuple[list[float], list[float]]:
    """Seconds from each stop to the next answer's first text, and to the stopped one's end."""
    slots, ends = list[float](), list[float]()
    async with open_http(url) as http:
        person = await sign_up(http)
        conversation = await person.create()
        running = await ask(person, conversation)
        await running.began
        for _ in range(WARM_UP + ROUNDS):
            following = await ask(person, conversation)
            await asyncio.sleep(0.1)  # it is on Kafka, and the worker's slot is taken
            stopped = time.perf_counter()
            await person.data(STOP, id=running.id)
            slots.append(await following.began - stopped)
            ends.append(await running.ended - stopped)
            running = following
        await person.data(STOP, id=running.id)
        await running.reading
    return slots[WARM_UP:], ends[WARM_UP:]


def show(name: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    p99 = ordered[int(len(ordered) * 0.99) - 1]
    print(f"{name:48} p50 {statistics.median(ordered) * 1e3:6.1f} ms   p99 {p99 * 1e3:6.1f} ms   n {len(ordered)}")


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        start_cluster(Path(folder) / "data", gateways=1, workers=1, settings=SETTINGS) as cluster,
    ):
        slots, ends = asyncio.run(measure(cluster.url))
        show("stop -> the next answer's first text (cluster)", slots)
        show("stop -> the stopped answer's end (cluster)", ends)


if __name__ == "__main__":
    main()

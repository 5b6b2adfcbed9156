"""How many messages a second a cluster acknowledges before it falls behind, and which process holds it there.

An open loop: sends are due at a rate that doubles step by step, whether or not earlier ones have been answered. Answers
are of one token, and nobody reads them. The knee is the last step that keeps up with p99 below a second.

    PYTHONPATH=tests .venv/bin/python tests/bench/sends.py
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path

from support.cluster import Cluster, start_cluster
from support.graphql import open_http
from support.people import SEND, Person, sign_up
from support.usage import cpu_seconds, processes

RATES = (10, 20, 40, 60, 80, 120, 160, 240)
STEP_SECONDS = 8.0
PEOPLE = 32
KEEPS_UP = 0.95
SETTINGS = {
    "PARLEY_WORKER_BACKEND": "scripted",
    "PARLEY_SCRIPTED_INTERVAL_MS": "1",
    "PARLEY_MAX_ACTIVE": "2000",
    "PARLEY_MAX_ACTIVE_PER_USER": "2000",
}


async def send(person: Person, conversation: str) -> tuple[str, float]:
    """The outcome, a code or `ok`, and the seconds to it."""
    details = {"conversationId": conversation, "content": "go", "parameters": {"maxTokens": 1}}
    began = time.perf_counter()
    answer = await person.http.post(SEND, {"input": details}, person.token)
    outcome = answer["errors"][0]["extensions"]["code"] if "errors" in answer else "ok"
    return outcome, time.perf_counter() - began


async def step(
    people: list[Person], conversations: list[str], rate: int
) -> tuple[float, float, list[float], Counter[str]]:
    """Acknowledged a second, the seconds of the step, those that each acknowledgement took, and what came of all."""
    began, due, tasks = time.perf_counter(), 0.0, []
    async with asyncio.TaskGroup() as running:
        while due < STEP_SECONDS:
            place = len(tasks) % len(people)
            tasks.append(running.create_task(send(people[place], conversations[place])))
            due = len(tasks) / rate
            await asyncio.sleep(max(0.0, due - (time.perf_counter() - began)))
    wall = time.perf_counter() - began
    results = [task.result() for task in tasks]
    waits = sorted(seconds for outcome, seconds in results if outcome == "ok")
    return len(waits) / wall, wall, waits, Counter(outcome for outcome, _ in results)


async def measure(cluster: Cluster) -> None:
    knee = 0.0
    async with open_http(cluster.urls[0]) as first, open_http(cluster.urls[-1]) as last:
        people = [await sign_up([first, last][number % 2]) for number in range(PEOPLE)]
        conversations = [await person.create() for person in people]
        pids = processes(cluster)
        for rate in RATES:
            before = {name: cpu_seconds(pid) for name, pid in pids.items()}
            achieved, wall, waits, outcomes = await step(people, conversations, rate)
            used = {name: (cpu_seconds(pid) - before[name]) / wall for name, pid in pids.items()}
            busiest = ", ".join(f"{name} {used[name]:.0%}" for name in sorted(used, key=used.__getitem__)[:-5:-1])
            p50, p99 = (waits[int(len(waits) * share)] * 1000 for share in (0.5, 0.99))
            print(f"{rate:4}/s due: {achieved:6.1f}/s acknowledged, p50 {p50:6.1f} ms, p99 {p99:7.1f} ms,")
            print(f"        {dict(outcomes)}; of one core: {busiest}, all {sum(used.values()):.0%}")
            if achieved < KEEPS_UP * rate or p99 > 1000:
                break
            knee = achieved
    print(f"the knee: {knee:.0f} sends/s")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, start_cluster(Path(folder) / "data", settings=SETTINGS) as cluster:
        asyncio.run(measure(cluster))


if __name__ == "__main__":
    main()

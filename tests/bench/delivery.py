"""CPU of the platform for each token that it delivers, and how late, from 1 to 64 answers at once (scripted backend).

CPU is that of the whole platform process (gateway, conversation, worker, bus and streams), read from /proc.

    PYTHONPATH=tests .venv/bin/python tests/bench/delivery.py
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from support.graphql import events, open_http, text_of
from support.people import Person, sign_up
from support.platform import start_platform
from support.usage import cpu_seconds

INTERVAL_MS = 20
TOKENS = 300
PEOPLE = 8
AT_ONCE = (1, 8, 64)


async def answer(person: Person) -> tuple[int, int]:
    """Tokens of one answer, and the events that brought them."""
    conversation = await person.create(title="bench")
    sent = await person.send(conversation, "go", parameters={"maxTokens": TOKENS})
    seen = [event async for event in events("ws", person.http.url, person.token, sent["generation"]["id"])]
    return text_of(seen).count(" "), len(seen)


async def main() -> None:
    settings = {"PARLEY_WORKER_BACKEND": "scripted", "PARLEY_SCRIPTED_INTERVAL_MS": str(INTERVAL_MS)}
    with tempfile.TemporaryDirectory() as folder, start_platform(Path(folder) / "data", settings=settings) as platform:
        async with open_http(platform.url) as http:
            people = [await sign_up(http) for _ in range(PEOPLE)]
            await answer(people[0])
            for count in AT_ONCE:
                cpu, began = cpu_seconds(platform.process.pid), time.perf_counter()
                answers = await asyncio.gather(*(answer(people[number % PEOPLE]) for number in range(count)))
                wall = time.perf_counter() - began
                cpu = cpu_seconds(platform.process.pid) - cpu
                tokens, frames = sum(a[0] for a in answers), sum(a[1] for a in answers)
                ideal = TOKENS * INTERVAL_MS / 1000
                print(
                    f"{count:3} answers at once: {cpu / tokens * 1e6:6.0f} us CPU a token,"
                    f" {tokens / frames:4.1f} tokens a frame, {tokens / wall:6.0f} tokens/s,"
                    f" {wall / ideal:4.2f} x the script's own time"
                )


if __name__ == "__main__":
    asyncio.run(main())

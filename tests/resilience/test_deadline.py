"""R2: whatever becomes of the workers, a generation ends by its deadline, and its reader is told."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from support.graphql import events, open_http, text_of
from support.people import scripted, sign_up
from support.stage import MODEL, open_stage

from parley_kit.clock import SystemClock
from parley_live.memory import MemoryLive

DEADLINE_SECONDS = 3.0


class Forgetful(MemoryLive):
    def lose(self, generation_id: str) -> None:
        """As if the store had been restarted without its data."""
        stream = self._streams.get(generation_id)
        assert stream is not None
        self._streams.put(generation_id, stream, 0.0)


@pytest.mark.parametrize("workers", [0, 1], ids=["nobody works", "a worker is too slow"])
async def test_an_answer_expires_at_its_deadline(tmp_path: Path, workers: int) -> None:
    async with (
        open_stage(tmp_path, generation_seconds=DEADLINE_SECONDS, sweep_seconds=0.1) as stage,
        open_http(stage.url) as http,
    ):
        for _ in range(workers):
            await stage.add_worker()
        ada = await sign_up(http)
        started = time.monotonic()
        sent = await ada.send(await ada.create(model=MODEL), "Go", parameters={"maxTokens": 10_000})
        generation_id = sent["generation"]["id"]
        async with asyncio.timeout(DEADLINE_SECONDS + 5):
            seen = [event async for event in events("ws", http.url, ada.token, generation_id)]
        assert time.monotonic() - started >= DEADLINE_SECONDS
        text = text_of(seen)
        assert (seen[-1]["state"], seen[-1]["error"]["code"]) == ("EXPIRED", "DEADLINE_EXCEEDED")
        assert (await ada.generation(generation_id))["state"] == "EXPIRED"
        assert scripted(10_000).startswith(text)
        assert bool(text) == bool(workers)
        again = [event async for event in events("sse", http.url, ada.token, generation_id)]
        assert again[-1] == seen[-1]


async def test_a_generation_that_nobody_took_is_answered_by_the_first_worker_that_comes(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage, open_http(stage.url) as http:
        ada = await sign_up(http)
        sent = await ada.send(await ada.create(model=MODEL), "Go", parameters={"maxTokens": 5})
        reading = asyncio.create_task(ada.answer(sent["generation"]["id"]))
        await stage.add_worker()
        assert await reading == scripted(5)


async def test_a_lost_stream_is_made_good_from_the_store(tmp_path: Path) -> None:
    """Losing the hot state loses no acknowledged message: here a stream is forgotten in the middle."""
    live = Forgetful(SystemClock())
    async with open_stage(tmp_path, live, sweep_seconds=0.1) as stage, open_http(stage.url) as http:
        await stage.add_worker()
        ada = await sign_up(http)
        sent = await ada.send(await ada.create(model=MODEL), "Go", parameters={"maxTokens": 150})
        generation_id = sent["generation"]["id"]
        reading = asyncio.create_task(ada.answer(generation_id))
        await stage.watch(generation_id, lambda deltas: len(deltas) >= 3)
        live.lose(generation_id)
        assert await reading == scripted(150)
        assert (await ada.generation(generation_id))["state"] == "COMPLETED"

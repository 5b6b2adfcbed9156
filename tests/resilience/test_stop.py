"""R5: a stop reaches the worker at once by its signal, and in time without it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from support.graphql import open_http
from support.people import STOP, scripted, sign_up
from support.stage import MODEL, open_stage

from parley_kit.clock import SystemClock
from parley_live.memory import MemoryLive

HEARTBEAT_SECONDS = 2.0


class WithoutSignals(MemoryLive):
    """Hot state that loses every cancel, as a listener that is away does."""

    async def cancel(self, generation_id: str) -> None:
        del generation_id


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [(MemoryLive, HEARTBEAT_SECONDS / 2), (WithoutSignals, 3.0)],
    ids=["by the signal", "without it"],
)
async def test_a_stopped_answer_ends_in_time(tmp_path: Path, kind: type[MemoryLive], seconds: float) -> None:
    async with open_stage(tmp_path, kind(SystemClock())) as stage, open_http(stage.url) as http:
        await stage.add_worker()
        ada = await sign_up(http)
        sent = await ada.send(await ada.create(model=MODEL), "Go", parameters={"maxTokens": 10_000})
        generation_id = sent["generation"]["id"]
        reading = asyncio.create_task(ada.answer(generation_id))
        await stage.watch(generation_id, lambda deltas: len(deltas) >= 3)
        started = time.monotonic()
        await ada.data(STOP, id=generation_id)
        text = await reading
        assert time.monotonic() - started < seconds
        assert scripted(10_000).startswith(text)
        held = len(await stage.deltas(generation_id))
        assert (await ada.generation(generation_id))["state"] == "CANCELLED"
        assert len(await stage.deltas(generation_id)) == held, "the worker went on"

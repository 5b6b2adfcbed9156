"""R4: a worker that was paused past its lease can write nothing more, whatever it believes when it wakes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from support.graphql import Json, open_http
from support.pause import LateWrites, PausableBus, PausableClock
from support.people import scripted, sign_up
from support.stage import MODEL, Stage, open_stage

from parley_kit.clock import SystemClock
from parley_live import Delta
from parley_live.memory import MemoryLive

TOKENS = 400
LEASE_SECONDS = 3.0
SCENE_SECONDS = 30.0


class WithoutFence(MemoryLive):
    """The hot state with its guard removed: it takes whatever anybody writes."""

    async def append(self, generation_id: str, deltas: Sequence[Delta]) -> None:
        stream = self._streams.get(generation_id)
        if stream is not None and not stream.ended:
            stream.values.extend(deltas)
            self._wrote(generation_id, stream, self._lifetime)


async def wake_after_takeover(stage: Stage, generation_id: str) -> LateWrites:
    """Pause the only worker in the middle, let another take over, and wake the first while the second still writes."""
    clock = PausableClock()
    bus, live = PausableBus(stage.bus, clock), LateWrites(stage.live, clock)
    await stage.add_worker(bus, live, clock)
    await stage.watch(generation_id, lambda deltas: len(deltas) >= 3)
    clock.pause()
    await bus.drop_members()
    await stage.add_worker()
    await stage.watch(generation_id, lambda deltas: any(delta.attempt == 2 for delta in deltas))
    clock.resume()
    return live


def out_of_order(deltas: list[Delta]) -> list[Delta]:
    """What was written by an attempt after a newer one had begun."""
    return [later for index, later in enumerate(deltas) if any(it.attempt > later.attempt for it in deltas[:index])]


async def play(data_dir: Path, live: MemoryLive) -> tuple[list[Delta], LateWrites, str, Json]:
    """The whole scene: what the stream held, who came late, what a reader read, and how it ended."""
    async with (
        asyncio.timeout(SCENE_SECONDS),
        open_stage(data_dir, live, lease_seconds=LEASE_SECONDS, sweep_seconds=0.1) as stage,
        open_http(stage.url) as http,
    ):
        ada = await sign_up(http)
        sent = await ada.send(await ada.create(model=MODEL), "Go", parameters={"maxTokens": TOKENS})
        generation_id = sent["generation"]["id"]
        reading = asyncio.create_task(ada.answer(generation_id))
        paused = await wake_after_takeover(stage, generation_id)
        text = await reading
        return await stage.deltas(generation_id), paused, text, await ada.generation(generation_id)


async def test_a_worker_that_wakes_after_its_lease_writes_nothing(tmp_path: Path) -> None:
    deltas, paused, text, generation = await play(tmp_path, MemoryLive(SystemClock()))
    assert paused.late > 0, "the paused worker never tried"
    assert out_of_order(deltas) == []
    assert "".join(delta.text for delta in deltas) == text == scripted(TOKENS)
    assert (generation["state"], generation["attempt"]) == ("COMPLETED", 2)


async def test_with_the_fence_off_the_same_scene_shows_it(tmp_path: Path) -> None:
    deltas, paused, _, _ = await play(tmp_path, WithoutFence(SystemClock()))
    assert paused.late > 0
    assert out_of_order(deltas) != []

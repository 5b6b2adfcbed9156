"""R4: a worker that was paused past its lease can write nothing more, whatever it believes when it wakes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from support.graphql import open_http
from support.pause import LateWrites, PausableBus, PausableClock
from support.people import scripted, sign_up

from parley_auth.bootstrap import open_auth
from parley_bus import Bus
from parley_bus.memory import MemoryBus
from parley_conversation.bootstrap import open_conversation
from parley_gateway.bootstrap import open_gateway
from parley_kit.clock import Clock, SystemClock
from parley_kit.health import Readiness
from parley_live import Delta, Live
from parley_live.memory import MemoryLive
from parley_standalone.settings import PlatformSettings
from parley_worker.bootstrap import open_worker
from parley_worker.settings import WorkerSettings

TOKENS = 400
LEASE_SECONDS = 3.0


class WithoutFence(MemoryLive):
    """The hot state with its guard removed: it takes whatever anybody writes."""

    async def append(self, generation_id: str, deltas: Sequence[Delta]) -> None:
        stream = self._streams.get(generation_id)
        if stream is not None and not stream.ended:
            self._add(generation_id, stream, deltas, self._lifetime)


@dataclass
class Stage:
    """The platform with one worker; others can join."""

    settings: WorkerSettings
    bus: MemoryBus
    live: MemoryLive
    url: str
    stack: AsyncExitStack

    async def add_worker(self, bus: Bus, live: object, clock: Clock) -> None:
        worker = open_worker(self.settings, bus, cast("Live", live), clock, Readiness())
        await self.stack.enter_async_context(worker)

    async def deltas(self, generation_id: str) -> list[Delta]:
        """All that the stream holds."""
        entries = await self.live.read(generation_id, None, timeout=0, most=100_000)
        return [entry.value for entry in entries if isinstance(entry.value, Delta)]


@asynccontextmanager
async def set_up(data_dir: Path, live: MemoryLive) -> AsyncIterator[Stage]:
    settings = PlatformSettings.load(data_dir=data_dir, port=0)
    clock, readiness = SystemClock(), Readiness()
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(MemoryBus())
        auth = await stack.enter_async_context(open_auth(settings.auth, live, clock, readiness))
        peers = {"auth_address": auth.address}
        conversation_settings = settings.conversation.model_copy(update=peers)
        opening = open_conversation(conversation_settings, bus, live, clock, readiness)
        peers["conversation_address"] = (await stack.enter_async_context(opening)).address
        gateway_settings = settings.gateway.model_copy(update=peers)
        gateway = await stack.enter_async_context(open_gateway(gateway_settings, live, clock, readiness))
        yield Stage(settings.worker.model_copy(update=peers), bus, live, f"http://127.0.0.1:{gateway.port}", stack)


@pytest.fixture(autouse=True)
def scripted_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_WORKER_BACKEND", "scripted")
    monkeypatch.setenv("PARLEY_SCRIPTED_INTERVAL_MS", "10")
    monkeypatch.setenv(
        "PARLEY_MODELS", '{"scripted": 4096}'
    )  # it is asked for before a worker has said that it serves it
    monkeypatch.setenv("PARLEY_LEASE_SECONDS", str(LEASE_SECONDS))
    monkeypatch.setenv("PARLEY_SWEEP_SECONDS", "0.1")


async def wake_after_takeover(stage: Stage, generation_id: str) -> LateWrites:
    """Pause the only worker in the middle, let another take over, and wake the first while the second still writes."""
    clock = PausableClock()
    bus, live = PausableBus(stage.bus, clock), LateWrites(stage.live, clock)
    await stage.add_worker(bus, live, clock)
    await until(stage, generation_id, lambda deltas: len(deltas) >= 3)
    clock.pause()
    await bus.drop_members()
    await stage.add_worker(stage.bus, stage.live, SystemClock())
    await until(stage, generation_id, lambda deltas: any(delta.attempt == 2 for delta in deltas))
    clock.resume()
    return live


async def until(stage: Stage, generation_id: str, enough: Callable[[list[Delta]], bool]) -> None:
    """Watch the stream until what it holds is enough."""
    seen, position = list[Delta](), None
    async with asyncio.timeout(20):
        while not enough(seen):
            for entry in await stage.live.read(generation_id, position, timeout=1):
                position = entry.position
                if isinstance(entry.value, Delta):
                    seen.append(entry.value)


def out_of_order(deltas: list[Delta]) -> list[Delta]:
    """What was written by an attempt after a newer one had begun."""
    return [later for index, later in enumerate(deltas) if any(it.attempt > later.attempt for it in deltas[:index])]


async def play(tmp_path: Path, live: MemoryLive) -> tuple[list[Delta], LateWrites, str, dict[str, object]]:
    """The whole scene: what the stream held, what a reader read, and how it ended."""
    async with set_up(tmp_path, live) as stage, open_http(stage.url) as http:
        ada = await sign_up(http)
        conversation = await ada.create(model="scripted")
        sent = await ada.send(conversation, "Go", parameters={"maxTokens": TOKENS})
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

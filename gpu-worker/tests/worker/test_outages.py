"""The stores of the hot path come and go; the answer arrives all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from parley_bus.base import DLQ_SUFFIX, Record
from parley_bus.events import GENERATION_EVENTS, inference_topic
from parley_bus.memory import MemoryBus
from parley_kit.clock import SystemClock
from parley_kit.errors import Unavailable
from parley_live.base import Delta, Fenced
from parley_live.memory import MemoryLive
from parley_proto.events.v1.events_pb2 import GenerationCancelled
from parley_worker.core import Chunk, Job
from parley_worker.testing.backends import ProbedBackend, words
from parley_worker.testing.platform import Platform, open_platform
from parley_worker.testing.wakeup import Wakeup

TOPIC = inference_topic("scripted")
GROUP = "parley-worker.scripted"


class AwayLive(MemoryLive):
    """`fences` calls of raise_fence fail, and all calls of append while `writable` is False."""

    def __init__(self, fences: int = 0, *, writable: bool = True) -> None:
        super().__init__(SystemClock())
        self.fences = fences
        self.writable = writable

    async def raise_fence(self, generation_id: str, attempt: int) -> Sequence[Delta] | None:
        if self.fences:
            self.fences -= 1
            raise Unavailable("away")
        return await super().raise_fence(generation_id, attempt)

    async def append(self, generation_id: str, deltas: Sequence[Delta]) -> None:
        if not self.writable:
            raise Unavailable("away")
        await super().append(generation_id, deltas)


class FencingLive(MemoryLive):
    """The write in flight is refused once `lost` is set; `refused` tells of it."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.writing, self.lost, self.refused = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def append(self, generation_id: str, deltas: Sequence[Delta]) -> None:
        self.writing.set()
        await self.lost.wait()
        self.refused.set()
        raise Fenced


class LateBackend(ProbedBackend):
    """While it frees the slot, the stream is found to be lost."""

    def __init__(self, live: FencingLive) -> None:
        super().__init__()
        self._live = live

    async def generate(self, job: Job) -> AsyncGenerator[Chunk]:
        try:
            async with aclosing(super().generate(job)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            self._live.lost.set()
            await self._live.refused.wait()


class AwayBus(MemoryBus):
    """`failures` terminal events are refused first."""

    failures = 2

    async def publish(self, record: Record) -> None:
        if record.topic == GENERATION_EVENTS and self.failures:
            self.failures -= 1
            raise Unavailable("away")
        await super().publish(record)


class DeafBus(MemoryBus):
    """Takes no dead letters until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.hears = False
        self.refused = Wakeup()
        self.refusals = 0

    async def publish(self, record: Record) -> None:
        if record.topic.endswith(DLQ_SUFFIX) and not self.hears:
            self.refusals += 1
            self.refused.notify()
            raise Unavailable("away")
        await super().publish(record)


async def test_an_answer_waits_for_a_stream_that_cannot_be_fenced(platform: Platform) -> None:
    platform.live = AwayLive(fences=2)
    async with platform.worker(ProbedBackend()):
        generation_id = await platform.ask(max_tokens=3)
        event = await platform.end()
        assert (event.text, event.attempt) == (words(0, 3), 1)
    assert "".join(delta.text for delta in await platform.deltas(generation_id)) == words(0, 3)


async def test_a_stop_before_the_fence_keeps_what_an_earlier_attempt_streamed(platform: Platform) -> None:
    platform.live = live = AwayLive()
    platform.owner.before_claim = live.cancel
    generation_id = await platform.ask()
    platform.owner.generations[generation_id].attempt = 1
    await live.raise_fence(generation_id, 1)
    await live.append(generation_id, [Delta(1, 1, 0, words(0, 7), tuple(range(7)))])
    live.fences = 1
    async with platform.worker(ProbedBackend()):
        event = await platform.end()
    assert isinstance(event, GenerationCancelled)
    assert (event.text, event.attempt, event.began_attempt) == (words(0, 7), 2, 1)


async def test_a_stream_that_is_lost_while_the_slot_is_freed_is_not_overlooked(platform: Platform) -> None:
    platform.live = live = FencingLive()
    async with platform.worker(LateBackend(live)):
        generation_id = await platform.ask(max_tokens=10_000)
        await live.writing.wait()
        platform.owner.generations[generation_id].cancelled = True
        await live.cancel(generation_id)
        await platform.owner.called.until(lambda: platform.owner.released == [generation_id])
    assert await platform.no_end()


async def test_an_answer_is_completed_though_its_stream_cannot_be_written(platform: Platform) -> None:
    platform.live = AwayLive(writable=False)
    async with platform.worker(ProbedBackend()):
        await platform.ask(max_tokens=3)
        assert (await platform.end()).text == words(0, 3)


async def test_a_terminal_event_waits_for_the_bus() -> None:
    async with open_platform(SystemClock(), bus=AwayBus()) as platform, platform.worker(ProbedBackend()):
        await platform.ask(max_tokens=3)
        assert (await platform.end()).text == words(0, 3)


async def test_what_cannot_be_put_aside_waits_and_holds_back_no_other() -> None:
    bus = DeafBus()
    async with (
        open_platform(SystemClock(), bus=bus) as platform,
        platform.worker(ProbedBackend()),
        bus.subscribe([f"{TOPIC}{DLQ_SUFFIX}"], "test") as dead,
    ):
        await platform.publish_raw(b"\xff")
        await bus.refused.until(lambda: bus.refusals >= 2)
        generation_id = await platform.ask(max_tokens=3)
        assert (await platform.end()).generation_id == generation_id
        bus.hears = True
        (letter,) = await dead.fetch(1, timeout=10)
        assert letter.record.headers["dlq_error"] == "BadInput"


async def test_what_could_not_be_put_aside_is_the_next_workers() -> None:
    bus = DeafBus()
    async with open_platform(SystemClock(), bus=bus) as platform:
        async with platform.worker(ProbedBackend()):
            await platform.publish_raw(b"\xff")
            await bus.refused.until(lambda: bus.refusals >= 1)
        async with bus.subscribe([TOPIC], GROUP) as successor:
            (again,) = await successor.fetch(1, timeout=10)
    assert again.record.value == b"\xff"

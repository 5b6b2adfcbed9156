"""A worker whose process stands still for a while, as one does under SIGSTOP or on a frozen virtual machine.

Its clock stops, the broker drops it from its group, and what it was about to write is written when it wakes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta

from parley_bus import Bus, Consumer, Delivery, Record
from parley_kit.clock import SystemClock
from parley_live import Delta
from parley_live.memory import MemoryLive


class PausableClock(SystemClock):
    """Runs with the system's clock, less the time that it was paused: to its process no time has passed."""

    def __init__(self) -> None:
        self._running = asyncio.Event()
        self._running.set()
        self._paused_at = 0.0
        self._lost = 0.0

    @property
    def was_paused(self) -> bool:
        return self._lost > 0

    def monotonic(self) -> float:
        there = super().monotonic() if self._running.is_set() else self._paused_at
        return there - self._lost

    def now(self) -> datetime:
        return super().now() - timedelta(seconds=self._lost)

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await self._running.wait()

    async def until_running(self) -> None:
        await self._running.wait()

    def pause(self) -> None:
        self._paused_at = super().monotonic()
        self._running.clear()

    def resume(self) -> None:
        self._lost += super().monotonic() - self._paused_at
        self._running.set()


class PausableBus:
    """The bus as the paused process has it: a broker takes away the partitions of a member that is silent."""

    def __init__(self, bus: Bus, clock: PausableClock) -> None:
        self._bus = bus
        self._clock = clock
        self._memberships: list[AsyncExitStack] = []

    async def publish(self, record: Record) -> None:
        await self._clock.until_running()
        await self._bus.publish(record)

    @asynccontextmanager
    async def subscribe(self, topics: Sequence[str], group: str) -> AsyncIterator[Consumer]:
        async with AsyncExitStack() as membership:
            self._memberships.append(membership)
            consumer = await membership.enter_async_context(self._bus.subscribe(topics, group))
            yield PausableConsumer(consumer, self._clock)

    async def drop_members(self) -> None:
        for membership in self._memberships:
            await membership.aclose()


class PausableConsumer:
    def __init__(self, consumer: Consumer, clock: PausableClock) -> None:
        self._consumer = consumer
        self._clock = clock

    async def fetch(self, most: int, timeout: float) -> Sequence[Delivery]:
        await self._clock.until_running()
        return await self._consumer.fetch(most, timeout)

    async def settle(self, delivery: Delivery) -> None:
        await self._consumer.settle(delivery)

    async def reject(self, delivery: Delivery, reason: str, error: str) -> None:
        await self._consumer.reject(delivery, reason, error)


class LateWrites:
    """Hot state whose appends wait while the process is paused. `late` counts those after a pause."""

    def __init__(self, live: MemoryLive, clock: PausableClock) -> None:
        self._live = live
        self._clock = clock
        self.late = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._live, name)

    async def append_all(self, appends: Mapping[str, Sequence[Delta]]) -> Mapping[str, Exception]:
        await self._clock.until_running()
        self.late += self._clock.was_paused
        return await self._live.append_all(appends)

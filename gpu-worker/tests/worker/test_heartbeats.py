"""Heartbeats announce the model, renew leases from the moment before they were sent, and end what is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from parley_kit.clock import ManualClock
from parley_kit.errors import Unavailable
from parley_worker.assignments import Assignment, Assignments, Stop
from parley_worker.core import ModelInfo
from parley_worker.heartbeats import INTERVAL_SECONDS, RETRY_SECONDS, Heartbeats
from parley_worker.ports import Lease, Verdict
from parley_worker.tasks import running

MODEL = ModelInfo("small", 512, 8)
LEASE_SECONDS = 6.0


class MemoryCoordinator:
    """Answers heartbeats as told; each takes `delay` seconds of the clock."""

    def __init__(self, clock: ManualClock) -> None:
        self.beats: asyncio.Queue[tuple[ModelInfo, list[str]]] = asyncio.Queue()
        self.verdict = Verdict()
        self.away = False
        self.delay = 0.0
        self._clock = clock

    async def claim(self, generation_id: str) -> Lease | None:
        return None

    async def release(self, leases: Sequence[Lease]) -> None:
        pass

    async def heartbeat(self, model: ModelInfo, leases: Sequence[Lease]) -> Verdict:
        self._clock.advance(self.delay)
        self.beats.put_nowait((model, [lease.generation_id for lease in leases]))
        if self.away:
            raise Unavailable("away")
        return self.verdict


class Desk:
    """Heartbeats over one lease, on a clock that stands still."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.coordinator = MemoryCoordinator(self.clock)
        self.assignments = Assignments()
        self.heartbeats = Heartbeats(self.coordinator, MODEL, self.assignments, self.clock)

    async def beat(self) -> tuple[ModelInfo, list[str]]:
        """The next heartbeat, with what followed from it."""
        beat = await asyncio.wait_for(self.coordinator.beats.get(), 10)
        await asyncio.sleep(0)
        return beat

    async def beat_after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await self.beat()


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def held(desk: Desk) -> AsyncIterator[Assignment]:
    async with desk.assignments.take("a") as assignment:
        assert assignment is not None
        assignment.lease = Lease("a", 1, deadline=600.0, expires_at=LEASE_SECONDS, seconds=LEASE_SECONDS)
        yield assignment


async def test_an_idle_worker_announces_its_model(desk: Desk) -> None:
    assert not desk.heartbeats.fresh
    async with running(desk.heartbeats.run(), "heartbeats"):
        assert await desk.beat() == (MODEL, [])
        assert desk.heartbeats.fresh
        desk.clock.advance(INTERVAL_SECONDS)
        assert await desk.beat() == (MODEL, [])


async def test_leases_are_renewed_from_the_moment_before_the_heartbeat(desk: Desk, held: Assignment) -> None:
    desk.coordinator.delay = 1.5
    async with running(desk.heartbeats.run(), "heartbeats"):
        assert await desk.beat() == (MODEL, ["a"])
        await desk.beat_after(INTERVAL_SECONDS)
    assert held.lease is not None
    assert held.lease.expires_at == 1.5 + INTERVAL_SECONDS + LEASE_SECONDS
    assert held.stopping is None


@pytest.mark.parametrize(
    ("verdict", "why"),
    [(Verdict(cancelled=frozenset("a")), Stop.CANCELLED), (Verdict(lost=frozenset("a")), Stop.LOST)],
)
async def test_the_owner_ends_what_is_over(desk: Desk, held: Assignment, verdict: Verdict, why: Stop) -> None:
    desk.coordinator.verdict = verdict
    async with running(desk.heartbeats.run(), "heartbeats"):
        await desk.beat()
    assert held.stopping is why


async def test_a_lease_that_nothing_renewed_in_time_is_lost(desk: Desk, held: Assignment) -> None:
    async with running(desk.heartbeats.run(), "heartbeats"):
        await desk.beat()
        desk.coordinator.away = True
        await desk.beat_after(INTERVAL_SECONDS)
        await desk.beat_after(LEASE_SECONDS - INTERVAL_SECONDS - 0.1)
        assert held.stopping is None
        await desk.beat_after(RETRY_SECONDS)
        assert held.stopping is Stop.LOST
        assert not desk.heartbeats.fresh


async def test_a_heartbeat_that_comes_after_the_lease_has_run_out_cannot_bring_it_back(
    desk: Desk, held: Assignment
) -> None:
    """As in a process that was paused: while it stood still, somebody else may have claimed the generation."""
    desk.coordinator.delay = LEASE_SECONDS
    async with running(desk.heartbeats.run(), "heartbeats"):
        await desk.beat()
    assert held.stopping is Stop.LOST

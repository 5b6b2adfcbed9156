"""A request that was fetched right before the model died waits for it, unless it is over before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from parley_bus.base import Delivery
from parley_bus.events import inference_topic, to_record
from parley_kit.clock import ManualClock
from parley_proto.conversation.v1 import types_pb2 as types
from parley_proto.events.v1 import events_pb2 as events
from parley_worker.assignments import Assignments, Stop
from parley_worker.claims import Claims
from parley_worker.consumer import READY_POLL_SECONDS, RequestConsumer
from parley_worker.core import ModelInfo
from parley_worker.ports import Lease, Verdict
from parley_worker.tasks import running

MODEL = ModelInfo("small", 512, 8)
DEADLINE_SECONDS = 600.0


class WatchedClock(ManualClock):
    """Tells when somebody goes to sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.slept = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept.set()
        await super().sleep(seconds)


class Source:
    """One request, whether there is room for it or not."""

    def __init__(self, delivery: Delivery) -> None:
        self._deliveries = [delivery]

    async def fetch(self, most: int, timeout: float) -> Sequence[Delivery]:
        if not self._deliveries:
            await asyncio.Event().wait()
        return [self._deliveries.pop()]

    async def settle(self, delivery: Delivery) -> None:
        pass

    async def reject(self, delivery: Delivery, reason: str, error: str) -> None:
        raise AssertionError(reason)


class Owner:
    """Refuses every claim, and tells of the first."""

    def __init__(self) -> None:
        self.claimed = asyncio.Event()

    async def claim(self, generation_id: str) -> Lease | None:
        self.claimed.set()
        return None

    async def heartbeat(self, model: ModelInfo, leases: Sequence[Lease]) -> Verdict:
        return Verdict()

    async def release(self, leases: Sequence[Lease], shutting_down: bool = False) -> None:
        pass


class Desk:
    def __init__(self) -> None:
        self.clock, self.owner, self.assignments = WatchedClock(), Owner(), Assignments()
        self.ready = False
        request = events.InferenceRequested(
            generation_id="a", messages=[events.PromptMessage(role=types.ROLE_USER, content="hello")]
        )
        request.deadline.FromDatetime(self.clock.now() + timedelta(seconds=DEADLINE_SECONDS))
        record = to_record(inference_topic("small"), "a", request, "test", self.clock)
        asked = iter((True,))  # there was room, and a model, when it was fetched
        self.consumer = RequestConsumer(
            Source(Delivery(record, 0, 0)),
            MODEL,
            self.assignments,
            Claims(self.owner, "small", self.clock),
            self._answer,
            lambda: next(asked, self.ready),
            self.clock,
        )

    async def _answer(self, *_: object) -> None:
        raise AssertionError("nothing was granted")

    def recover(self) -> None:
        self.ready = True
        self.clock.advance(READY_POLL_SECONDS)

    def cancel(self) -> None:
        self.assignments.stop("a", Stop.CANCELLED)
        self.clock.advance(READY_POLL_SECONDS)

    def expire(self) -> None:
        self.clock.advance(DEADLINE_SECONDS)


@pytest.mark.parametrize("then", [Desk.recover, Desk.cancel, Desk.expire])
async def test_the_claim_waits_for_the_model_unless_nothing_is_to_be_made(then: Callable[[Desk], None]) -> None:
    desk = Desk()
    async with running(desk.consumer.run(), "requests"), asyncio.timeout(10):
        await desk.clock.slept.wait()
        assert not desk.owner.claimed.is_set()
        then(desk)
        await desk.owner.claimed.wait()

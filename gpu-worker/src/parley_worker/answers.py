"""What becomes of a claimed generation: an attempt, and then its end told to whom it concerns."""

from __future__ import annotations

import asyncio

from parley_kit.clock import Clock
from parley_kit.errors import ParleyError
from parley_kit.logs import get_logger
from parley_live.base import TokenStreams
from parley_proto.events.v1.events_pb2 import InferenceRequested
from parley_worker import metrics
from parley_worker.assignments import Assignment, Stop
from parley_worker.attempt import Attempt
from parley_worker.backends.base import Backend
from parley_worker.endings import Completed, Dropped, Event, GivenBack, to_event
from parley_worker.ports import Coordinator, Lease
from parley_worker.publisher import Publisher
from parley_worker.writes import Writes

log = get_logger(__name__)

PUBLISH_SECONDS = 10.0
"""The least time for which a terminal event is tried, also past the deadline."""


class Answers:
    def __init__(
        self, backend: Backend, streams: TokenStreams, coordinator: Coordinator, publisher: Publisher, clock: Clock
    ) -> None:
        self._backend = backend
        self._streams = streams
        self._writes = Writes(streams)
        self._coordinator = coordinator
        self._publisher = publisher
        self._clock = clock

    async def answer(self, request: InferenceRequested, assignment: Assignment, lease: Lease) -> None:
        """Make the answer; publish its end, or give the lease back."""
        model = self._backend.model.name
        attempt = Attempt(request, assignment, lease, self._backend, self._streams, self._writes, self._clock)
        with metrics.RUNNING.labels(model).track_inprogress():
            ending = await attempt.run()
        metrics.ENDINGS.labels(model, type(ending).__name__.lower()).inc()
        if isinstance(ending, Completed):
            metrics.FINISHES.labels(model, ending.reason.value).inc()
        match ending:
            case GivenBack():
                await self._give_back(assignment, lease)
            case Dropped():
                pass
            case _:
                await self._publish(to_event(ending, attempt.answer), assignment, lease)

    async def _publish(self, event: Event, assignment: Assignment, lease: Lease) -> None:
        patience = max(lease.deadline - self._clock.monotonic(), PUBLISH_SECONDS)
        try:
            async with asyncio.timeout(patience):
                await self._publisher.publish(event)
        except TimeoutError:
            await self._give_back(assignment, lease)

    async def _give_back(self, assignment: Assignment, lease: Lease) -> None:
        shutting_down = assignment.stopping is Stop.HANDED_BACK  # only a drain has said so before now
        assignment.stop(Stop.HANDED_BACK)  # from now on a request for it is a new one
        assignment.lease = None  # and no heartbeat renews it
        try:
            await self._coordinator.release([lease], shutting_down)
        except ParleyError as error:  # it runs out by itself
            log.warning("release_failed", generation_id=lease.generation_id, code=error.code)

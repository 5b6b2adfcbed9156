"""Takes requests off the bus, no more than there is room for, and owns what becomes of each."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from parley_bus.base import Consumer, Delivery, Record
from parley_kit import telemetry
from parley_kit.clock import Clock
from parley_kit.errors import BadInput, ParleyError, Unavailable
from parley_kit.logs import get_logger
from parley_proto.events.v1.events_pb2 import InferenceRequested
from parley_worker import metrics
from parley_worker.assignments import Assignment, Assignments, Stop
from parley_worker.claims import Claims
from parley_worker.core import ModelInfo
from parley_worker.ports import Lease
from parley_worker.requests import deadline_of, decode, published_at
from parley_worker.tasks import end

log = get_logger(__name__)

FETCH_SECONDS = 1.0
READY_POLL_SECONDS = 0.1
DRAIN_SECONDS = 5.0
FIRST_DELAY = 0.1
LONGEST_DELAY = 1.0

Answerer = Callable[[InferenceRequested, Assignment, Lease], Awaitable[None]]


class RequestConsumer:
    """What it does not fetch waits on the bus, where other workers can take it, and counts as lag."""

    def __init__(
        self,
        source: Consumer,
        model: ModelInfo,
        assignments: Assignments,
        claims: Claims,
        answer: Answerer,
        ready: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._source = source
        self._model = model
        self._assignments = assignments
        self._claims = claims
        self._answer = answer
        self._ready = ready
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._closing = False

    async def run(self) -> None:
        """Fetch until cancelled. Raises Unavailable while the bus is away; what is in hand goes on."""
        while True:
            for delivery in await self._source.fetch(await self._until_room(), FETCH_SECONDS):
                self._start(delivery)

    async def drain(self) -> None:
        """Hand back what is in hand, so that others go on with it, within 5 s. Call it when `run` has ended."""
        self._closing = True
        self._assignments.stop_all(Stop.HANDED_BACK)
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=DRAIN_SECONDS)
        if late:
            log.warning("drain_unfinished", generations=len(late))
            await end(*late)

    async def _until_room(self) -> int:
        while len(self._tasks) >= self._model.capacity:
            self._room.clear()
            await self._room.wait()
        while not self._ready():
            await self._clock.sleep(READY_POLL_SECONDS)
        return self._model.capacity - len(self._tasks)

    def _start(self, delivery: Delivery) -> None:
        task = asyncio.create_task(self._handle(delivery), name="request")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.set()

    async def _handle(self, delivery: Delivery) -> None:
        """Never raises: one request cannot hurt the others. Nor does what fails stay owed, holding back the position
        of its partition: the owner offers it again, or its lease runs out."""
        try:
            with telemetry.span("generation", delivery.record.headers):
                await self._take(delivery)
        except Exception:
            log.exception("request_failed", topic=delivery.record.topic, offset=delivery.offset)
            await self._settle(delivery)

    async def _take(self, delivery: Delivery) -> None:
        try:
            request = decode(delivery.record)
        except BadInput as error:
            await self._reject(delivery, error)
            return
        async with self._assignments.take(request.generation_id) as assignment:
            if assignment is None:
                await self._settle(delivery)
                return
            await self._until_ready(request, assignment)
            await self._claim(delivery, request, assignment)
            if assignment.lease is not None:
                self._waited(delivery.record)
                await self._answer(request, assignment, assignment.lease)

    async def _until_ready(self, request: InferenceRequested, assignment: Assignment) -> None:
        """What was fetched right before the model died waits for it: a claim now would be an attempt for nothing."""
        while not self._ready() and assignment.stopping is None and self._clock.now() < deadline_of(request):
            await self._clock.sleep(READY_POLL_SECONDS)

    def _waited(self, record: Record) -> None:
        if (published := published_at(record)) is not None:
            seconds = (self._clock.now() - published).total_seconds()
            metrics.QUEUE_WAIT.labels(self._model.name).observe(max(0.0, seconds))

    async def _claim(self, delivery: Delivery, request: InferenceRequested, assignment: Assignment) -> None:
        """What the owner finds wrong with the request is put aside; what is wrong with the owner is not the request's
        fault, and the owner offers it again while it waits."""
        try:
            settled = await self._claims.claim(request, assignment)
        except BadInput as error:
            await self._reject(delivery, error)
        except ParleyError as error:
            log.error("claim_failed", generation_id=request.generation_id, code=error.code, error=error.message)
            await self._settle(delivery)
        else:
            if settled:
                await self._settle(delivery)

    async def _settle(self, delivery: Delivery) -> None:
        try:
            await self._source.settle(delivery)
        except Unavailable as error:  # delivered again, it will be refused
            log.warning("settle_failed", error=error.message)

    async def _reject(self, delivery: Delivery, error: ParleyError) -> None:
        """For as long as the bus is away, tries again. A worker that closes leaves the record to the next one."""
        log.warning("request_rejected", code=error.code, error=error.message)
        delay = FIRST_DELAY
        while not self._closing:
            try:
                return await self._source.reject(delivery, f"{error.code}: {error.message}", type(error).__name__)
            except Unavailable as away:
                log.warning("reject_failed", error=away.message)
            await self._clock.sleep(random.uniform(0, delay))
            delay = min(2 * delay, LONGEST_DELAY)
        return None

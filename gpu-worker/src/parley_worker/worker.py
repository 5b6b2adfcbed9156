"""A worker: the parts that serve one model, running."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from parley_bus.base import Bus
from parley_bus.events import inference_topic
from parley_kit.clock import Clock
from parley_kit.errors import Unavailable
from parley_live.base import Live
from parley_worker import metrics
from parley_worker.answers import Answers
from parley_worker.assignments import Assignments
from parley_worker.backends.base import Backend
from parley_worker.claims import Claims
from parley_worker.consumer import RequestConsumer
from parley_worker.core import ModelInfo
from parley_worker.heartbeats import Heartbeats
from parley_worker.ports import Coordinator
from parley_worker.publisher import Publisher
from parley_worker.signals import hear_cancels
from parley_worker.tasks import forever, running


class Worker:
    """Serves `model` for as long as `serve` is open."""

    def __init__(self, backend: Backend, coordinator: Coordinator, bus: Bus, live: Live, clock: Clock) -> None:
        self.model: ModelInfo = backend.model
        self._backend = backend
        self._bus = bus
        self._live = live
        self._clock = clock
        self._assignments = Assignments()
        self._heartbeats = Heartbeats(coordinator, self.model, self._assignments, clock)
        self._claims = Claims(coordinator, self.model.name, clock)
        self._answers = Answers(backend, live, coordinator, Publisher(bus, clock), clock)

    @property
    def ready(self) -> bool:
        """Whether a request would be answered: the model runs, and the owner of generations can be reached."""
        return self._backend.ready and self._heartbeats.fresh

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """At the end of the block nothing more is fetched; what is in hand is handed back before the bus is left."""
        metrics.CAPACITY.labels(self.model.name).set(self.model.capacity)
        async with AsyncExitStack() as stack:
            topic = inference_topic(self.model.name)
            source = await stack.enter_async_context(self._bus.subscribe([topic], f"parley-worker.{self.model.name}"))
            await stack.enter_async_context(self._running(self._heartbeats.run, "heartbeats"))
            await stack.enter_async_context(
                self._running(lambda: hear_cancels(self._live, self._assignments), "cancel signals")
            )
            consumer = RequestConsumer(
                source,
                self.model,
                self._assignments,
                self._claims,
                self._answers.answer,
                lambda: self.ready,
                self._clock,
            )
            stack.push_async_callback(consumer.drain)
            await stack.enter_async_context(self._running(consumer.run, "requests"))
            yield

    async def check(self) -> None:
        """For readiness. Raises Unavailable saying what is missing."""
        if not self._backend.ready:
            raise Unavailable("the model is not running")
        if not self._heartbeats.fresh:
            raise Unavailable("the conversation service does not answer heartbeats")

    def _running(self, work: Callable[[], Awaitable[None]], name: str) -> AbstractAsyncContextManager[object]:
        return running(forever(work, name, self._clock), name)

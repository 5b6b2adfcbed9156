"""A platform of one model: memory bus, memory streams, the owner of generations behind real gRPC, and any workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from parley_bus.base import Bus, Consumer, Record
from parley_bus.events import GENERATION_EVENTS, from_record, inference_topic, to_record
from parley_bus.memory import MemoryBus
from parley_kit.clock import Clock, ManualClock
from parley_kit.context import Principal
from parley_kit.errors import Unauthenticated
from parley_kit.grpc import Access, Guard, open_channel, open_server
from parley_kit.ids import new_id
from parley_live.base import Delta
from parley_live.memory import MemoryLive
from parley_proto.conversation.v1 import types_pb2 as types
from parley_proto.conversation.v1.worker_pb2_grpc import add_WorkerServiceServicer_to_server
from parley_proto.events.v1 import events_pb2 as events
from parley_worker.adapters.grpc import GrpcCoordinator
from parley_worker.backends.base import Backend
from parley_worker.endings import Event
from parley_worker.testing.owner import GenerationOwner, Owned
from parley_worker.testing.wakeup import PATIENCE_SECONDS
from parley_worker.worker import Worker

STREAM_SECONDS = 3600.0
TOKEN = "between services"
SERVICE = "/parley_proto.conversation.v1.WorkerService"


class Platform:
    """Open one with `open_platform`."""

    def __init__(self, clock: Clock, model: str, bus: Bus | None = None) -> None:
        self.clock = clock
        self.bus: Bus = bus or MemoryBus()
        self._live_clock = ManualClock()
        self.live: MemoryLive = MemoryLive(self._live_clock, lifetime=STREAM_SECONDS)
        self.owner = GenerationOwner(clock, self._request_again)
        self.address = ""
        self.ends: Consumer
        self._topic = inference_topic(model)
        self._requests: dict[str, Record] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, content: str = "hello", *, seconds: float = 60.0, user: str = "", **parameters: object) -> str:
        """A user's message, queued. Returns the generation's id."""
        generation_id = new_id()
        deadline = self.clock.now() + timedelta(seconds=seconds)
        request = events.InferenceRequested(
            generation_id=generation_id,
            conversation_id=new_id(),
            user_id=user,
            messages=[events.PromptMessage(role=types.ROLE_USER, content=content)],
            parameters=types.GenerationParameters(**parameters),  # type: ignore[arg-type] # fields by name
        )
        request.deadline.FromDatetime(deadline)
        self.owner.generations[generation_id] = Owned(deadline)
        self._requests[generation_id] = to_record(self._topic, request.conversation_id, request, "test", self.clock)
        await self.offer(generation_id)
        return generation_id

    async def offer(self, generation_id: str, key: str | None = None) -> None:
        """Publish the request, again if need be, under its conversation or another key."""
        request = self._requests[generation_id]
        await self.bus.publish(replace(request, key=key or request.key))

    async def publish_raw(self, value: bytes, ce_type: str = "parley.inference.requested.v1") -> None:
        await self.bus.publish(Record(self._topic, "key", value, {"ce_type": ce_type}))

    async def end(self) -> Event:
        """The next terminal event."""
        (delivery,) = await self.ends.fetch(1, timeout=PATIENCE_SECONDS)
        event = from_record(delivery.record)
        await self.ends.settle(delivery)
        assert isinstance(event, Event)
        self.owner.generations[event.generation_id].finished = True
        return event

    async def deltas(self, generation_id: str, most: int = 10_000) -> list[Delta]:
        """What the stream holds now, but at least one delta."""
        entries = await self.live.read(generation_id, None, timeout=10.0, most=most)
        return [entry.value for entry in entries if isinstance(entry.value, Delta)]

    async def text_reaches(self, generation_id: str, length: int) -> None:
        """Wait until the stream holds so much text."""
        position, seen = None, 0
        while seen < length:
            for entry in await self.live.read(generation_id, position, timeout=10.0):
                position = entry.position
                seen += len(entry.value.text) if isinstance(entry.value, Delta) else 0

    @asynccontextmanager
    async def worker(self, backend: Backend) -> AsyncIterator[Worker]:
        async with open_channel(self.address, TOKEN) as channel:
            coordinator = GrpcCoordinator(channel, new_id(), self.clock)
            worker = Worker(backend, coordinator, self.bus, self.live, self.clock)
            async with worker.serve():
                yield worker

    def lose_streams(self) -> None:
        """As when the store of the streams comes back empty."""
        self._live_clock.advance(STREAM_SECONDS)

    async def no_end(self) -> bool:
        """Whether no terminal event waits now."""
        return not await self.ends.fetch(1, timeout=0.0)

    def _request_again(self, generation_id: str) -> None:
        task = asyncio.create_task(self.offer(generation_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@asynccontextmanager
async def open_platform(clock: Clock, model: str = "scripted", bus: Bus | None = None) -> AsyncIterator[Platform]:
    async def verify(token: str) -> Principal:
        raise Unauthenticated(token)

    platform = Platform(clock, model, bus)
    guard = Guard({SERVICE: Access.SERVICE}, verify, TOKEN)
    async with AsyncExitStack() as stack:
        register = lambda server: add_WorkerServiceServicer_to_server(platform.owner, server)  # noqa: E731
        server = await stack.enter_async_context(open_server([register], guard))
        platform.address = f"127.0.0.1:{server.port}"
        platform.ends = await stack.enter_async_context(platform.bus.subscribe([GENERATION_EVENTS], "test"))
        yield platform

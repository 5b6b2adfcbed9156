"""The platform inside the test's own process, so that a test can stand between its parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

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
from parley_worker.settings import BackendKind, WorkerSettings
from parley_worker.worker import Worker

MODEL = "scripted"


@dataclass
class Stage:
    """Everything but workers, which join by `add_worker`."""

    worker_settings: WorkerSettings
    bus: MemoryBus
    live: MemoryLive
    url: str
    stack: AsyncExitStack
    auth: AsyncExitStack
    """Close it, or the next, to take the service away."""
    conversation: AsyncExitStack

    def worker(
        self, bus: Bus | None = None, live: object | None = None, clock: Clock | None = None
    ) -> AbstractAsyncContextManager[Worker]:
        """A worker with the scripted backend; its bus, hot state and clock can be others than the platform's."""
        seen = cast("Live", live or self.live)
        return open_worker(self.worker_settings, bus or self.bus, seen, clock or SystemClock(), Readiness())

    async def add_worker(self, bus: Bus | None = None, live: object | None = None, clock: Clock | None = None) -> None:
        """One that stays to the end."""
        await self.stack.enter_async_context(self.worker(bus, live, clock))

    async def deltas(self, generation_id: str) -> list[Delta]:
        """All that the stream holds."""
        entries = await self.live.read(generation_id, None, timeout=0, most=100_000)
        return [entry.value for entry in entries if isinstance(entry.value, Delta)]

    async def watch(self, generation_id: str, enough: Callable[[list[Delta]], bool]) -> None:
        """Wait until what the stream holds is enough."""
        seen, position = list[Delta](), None
        while not enough(seen):
            for entry in await self.live.read(generation_id, position, timeout=1):
                position = entry.position
                if isinstance(entry.value, Delta):
                    seen.append(entry.value)


@asynccontextmanager
async def open_stage(
    data_dir: Path, live: MemoryLive | None = None, *, interval_ms: float = 10.0, **overrides: object
) -> AsyncIterator[Stage]:
    """`overrides` are settings of the conversation service."""
    settings = PlatformSettings.load(data_dir=data_dir, port=0)
    clock, readiness, live = SystemClock(), Readiness(), live or MemoryLive(SystemClock())
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(MemoryBus())
        auth, conversation = [await stack.enter_async_context(AsyncExitStack()) for _ in range(2)]
        keeper = await auth.enter_async_context(open_auth(settings.auth, live, clock, readiness))
        peers = {"auth_address": keeper.address}
        # Listed before a worker has said that it serves it.
        of_conversation = settings.conversation.model_copy(update={**peers, "models": {MODEL: 4096}, **overrides})
        running = await conversation.enter_async_context(
            open_conversation(of_conversation, bus, live, clock, readiness)
        )
        peers["conversation_address"] = running.address
        of_gateway = settings.gateway.model_copy(update=peers)
        gateway = await stack.enter_async_context(open_gateway(of_gateway, live, clock, readiness))
        scripted = {"worker_backend": BackendKind.SCRIPTED, "scripted_interval_ms": interval_ms}
        of_worker = settings.worker.model_copy(update={**peers, **scripted})
        yield Stage(of_worker, bus, live, f"http://127.0.0.1:{gateway.port}", stack, auth, conversation)

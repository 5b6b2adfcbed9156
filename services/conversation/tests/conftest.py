"""The service over SQLite in a temporary folder, memory for bus and hot state, and a clock that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from parley_bus import Record
from parley_bus.events import from_record
from parley_bus.memory import MemoryBus
from parley_conversation.adapters.sqlite import open_stores
from parley_conversation.bootstrap import Service, build
from parley_conversation.domain.conversation import Conversation
from parley_conversation.domain.generation import Generation, Parameters
from parley_conversation.handlers.sends import SendMessage, Sent
from parley_conversation.ports import Stores
from parley_conversation.settings import ConversationSettings
from parley_kit.clock import ManualClock
from parley_kit.ids import new_id
from parley_live import End
from parley_live.memory import MemoryLive

MODEL = "tiny"
WORKER = "worker-1"


class RecordedBus(MemoryBus):
    """A memory bus that remembers what was published."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Record] = []

    async def publish(self, record: Record) -> None:
        await super().publish(record)
        self.records.append(record)

    def published(self, kind: type[Any]) -> list[Any]:
        return [event for event in map(from_record, self.records) if isinstance(event, kind)]


@dataclass
class World:
    stores: Stores
    service: Service
    bus: RecordedBus
    live: MemoryLive
    clock: ManualClock
    owner: str

    async def conversation(self, title: str | None = None, model: str = MODEL) -> Conversation:
        return await self.service.handlers.conversations.create(self.owner, title, model, None)

    async def send(
        self,
        conversation_id: str,
        content: str = "Hello",
        *,
        request_id: str | None = None,
        parent_id: str | None = None,
    ) -> Sent:
        command = SendMessage(conversation_id, content, parent_id, request_id, Parameters())
        return await self.service.handlers.sends.send(self.owner, command)

    async def sent(self, content: str = "Hello") -> Generation:
        """The generation of a message in a new conversation."""
        return (await self.send((await self.conversation()).id, content)).generation

    async def stored(self, generation_id: str) -> Generation:
        generation = await self.stores.generations.get(generation_id)
        assert generation is not None
        return generation

    async def claim(self, generation: Generation, worker: str = WORKER) -> int:
        """The attempt that a worker may make now."""
        lease = await self.service.leases.claim(generation.id, worker)
        assert lease is not None
        return lease.attempt

    async def ends(self, generation: Generation) -> int:
        """How many ends its stream has."""
        entries = await self.live.read(generation.id, None, 0)
        return sum(isinstance(entry.value, End) for entry in entries)

    async def contents(self, conversation_id: str, **page: Any) -> Sequence[str]:
        arguments = {"last": 200, "before": None, "leaf_id": None, **page}
        found = await self.service.handlers.messages.page(self.owner, conversation_id, **arguments)
        return [branched.message.content for branched in found.messages]


Opener = Callable[..., AbstractAsyncContextManager[World]]
OpenStores = Callable[[Path], AbstractAsyncContextManager[Stores]]


def in_sqlite(folder: Path) -> AbstractAsyncContextManager[Stores]:
    return open_stores(folder / "conversation.sqlite3")


@pytest.fixture
def open_world() -> Opener:
    """Opens a world on a folder; settings may be overridden, stores and hot state wrapped."""

    @asynccontextmanager
    async def opened(
        folder: Path,
        *,
        wrap: Callable[[Any], Any] = lambda port: port,
        clock: ManualClock | None = None,
        stores_in: OpenStores = in_sqlite,
        **overrides: Any,
    ) -> AsyncIterator[World]:
        clock = clock or ManualClock()
        values = {"service_token": "secret", "data_dir": folder, "models": {MODEL: 100}, **overrides}
        settings = ConversationSettings.load(**values)
        async with stores_in(folder) as stores, RecordedBus() as bus:
            live = MemoryLive(clock)
            wrapped = Stores(
                wrap(stores.conversations), wrap(stores.generations), wrap(stores.chat_log), wrap(stores.models)
            )
            service = build(wrapped, wrap(bus), wrap(live), clock, settings)
            yield World(stores, service, bus, live, clock, new_id())

    return opened


@pytest.fixture
async def world(open_world: Opener, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened

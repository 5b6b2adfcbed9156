"""MemoryBus and its consumer: the port's methods over topics and groups."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from types import MappingProxyType, TracebackType
from typing import ClassVar, Self

from parley_bus.base import Consumer, Delivery, Record
from parley_bus.capability import Capability
from parley_bus.dlq import dead_letter
from parley_bus.memory.group import Group
from parley_bus.memory.member import Member
from parley_bus.memory.topic import Topic
from parley_kit.errors import BadInput, Unavailable


class MemoryBus:
    """The bus inside one process: for one event loop, and gone with it. What must survive is owed by an outbox.

    Memory is bounded: a partition holds at most `capacity` records and `capacity_bytes` of values. What every group has
    settled is dropped; when the rest fills a partition, `publish` raises Unavailable, and where there is no group yet
    the oldest records make room.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.EXACT_SETTLE})

    def __init__(self, partitions: int = 8, capacity: int = 10_000, capacity_bytes: int = 32 * 1024 * 1024) -> None:
        self._partitions = partitions
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._topics: dict[str, Topic] = {}
        self._groups: dict[str, Group] = {}
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def publish(self, record: Record) -> None:
        self._check_open()
        headers = MappingProxyType(dict(record.headers))  # the publisher may go on to change its own
        self._topic(record.topic).append(replace(record, headers=headers))

    @asynccontextmanager
    async def subscribe(self, topics: Sequence[str], group: str) -> AsyncIterator[Consumer]:
        self._check_open()
        joined = self._groups.setdefault(group, Group())
        member = Member(topics)
        joined.join(member, {name: self._topic(name) for name in topics})
        try:
            yield MemoryConsumer(self, joined, member)
        finally:
            joined.leave(member)

    async def close(self) -> None:
        """Refuse everything from now on; whoever waits in `fetch` gets Unavailable. Idempotent."""
        self._closed = True
        for group in self._groups.values():
            for member in group.members:
                member.close()

    def _topic(self, name: str) -> Topic:
        if name not in self._topics:
            self._topics[name] = Topic(self._partitions, self._capacity, self._capacity_bytes)
        return self._topics[name]

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the bus is closed")


class MemoryConsumer:
    def __init__(self, bus: MemoryBus, group: Group, member: Member) -> None:
        self._bus = bus
        self._group = group
        self._member = member

    async def fetch(self, most: int, timeout: float) -> Sequence[Delivery]:
        if most < 1:
            raise BadInput("most must be at least 1", field="most")
        await asyncio.sleep(0)  # a consumer with a backlog must not keep the loop to itself
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not (batch := self._take(most)):
                    await self._member.wake.wait()
                return batch
        return []

    async def settle(self, delivery: Delivery) -> None:
        self._group.settle(delivery)

    async def reject(self, delivery: Delivery, reason: str, error: str) -> None:
        await self._bus.publish(dead_letter(delivery, reason, error))
        self._group.settle(delivery)

    def _take(self, most: int) -> list[Delivery]:
        # Cleared before the look, with no await in between: a record published after it sets the event again.
        self._member.wake.clear()
        if self._member.closed:
            raise Unavailable("the consumer is closed")
        return self._group.take(self._member, most)

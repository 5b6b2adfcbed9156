"""What the contract tests share: fixtures' types, publishing, and collecting without sleeping."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import ClassVar, Protocol
from uuid import uuid4

import pytest

from parley_bus.base import Bus, Consumer, Delivery, Record
from parley_bus.capability import Capability


class DeclaredBus(Bus, Protocol):
    """An adapter: the port, and what it declares beyond it."""

    @property
    def capabilities(self) -> frozenset[Capability]: ...


class BusHarness:
    """A subclass states `capabilities` as a literal and gives a `bus` fixture; slow adapters raise the times."""

    capabilities: ClassVar[frozenset[Capability]]
    patience: ClassVar[float] = 20.0
    """Seconds in which what must come comes."""
    quiet: ClassVar[float] = 0.05
    """Seconds after which what has not come is taken not to come."""

    @pytest.fixture
    def topic(self) -> str:
        return f"contract.{uuid4().hex}"

    @pytest.fixture
    def group(self) -> str:
        return f"group.{uuid4().hex}"

    async def publish(self, bus: Bus, topic: str, values: Iterable[int], key: str | None = None) -> None:
        """A record for each value, under `key` or under a key of its own."""
        for value in values:
            await bus.publish(Record(topic, f"key-{value}" if key is None else key, b"%d" % value))

    async def collect(self, consumer: Consumer, count: int) -> list[Delivery]:
        """The next `count` deliveries, not settled."""
        deliveries: list[Delivery] = []
        async with asyncio.timeout(self.patience):
            while len(deliveries) < count:
                deliveries += await consumer.fetch(count - len(deliveries), self.patience)
        return deliveries

    async def share(self, consumers: Sequence[Consumer], count: int) -> list[list[Delivery]]:
        """What each consumer gets, settling all, until together they have `count` different records."""
        shares: list[list[Delivery]] = [[] for _ in consumers]
        seen: set[int] = set()
        enough = asyncio.Event()

        async def drain(consumer: Consumer, share: list[Delivery]) -> None:
            while not enough.is_set():
                for delivery in await consumer.fetch(8, self.quiet):
                    share.append(delivery)
                    seen.add(value_of(delivery))
                    await consumer.settle(delivery)
                if len(seen) >= count:
                    enough.set()

        async with asyncio.timeout(self.patience), asyncio.TaskGroup() as tasks:
            for consumer, share in zip(consumers, shares, strict=True):
                tasks.create_task(drain(consumer, share))
        return shares

    async def assert_quiet(self, consumer: Consumer) -> None:
        assert list(await consumer.fetch(1, self.quiet)) == []


async def settle_all(consumer: Consumer, deliveries: Iterable[Delivery]) -> None:
    for delivery in deliveries:
        await consumer.settle(delivery)


def value_of(delivery: Delivery) -> int:
    return int(delivery.record.value)


def values_of(deliveries: Iterable[Delivery]) -> list[int]:
    return [value_of(delivery) for delivery in deliveries]

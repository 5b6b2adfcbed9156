from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from parley_bus import Capability, Record
from parley_bus.memory import MemoryBus
from parley_bus.testing.contract import BusContract
from parley_kit.errors import Unavailable


class TestMemoryBus(BusContract):
    capabilities = frozenset({Capability.EXACT_SETTLE})

    @pytest.fixture
    async def bus(self) -> AsyncIterator[MemoryBus]:
        async with MemoryBus() as bus:
            yield bus


async def test_closing_wakes_a_waiting_fetch() -> None:
    bus = MemoryBus()
    async with bus.subscribe(["topic"], "group") as consumer:
        waiting = asyncio.create_task(consumer.fetch(1, 30))
        await asyncio.sleep(0)
        await bus.close()
        with pytest.raises(Unavailable):
            await waiting


async def test_leaving_wakes_a_waiting_fetch() -> None:
    bus = MemoryBus()
    async with bus.subscribe(["topic"], "group") as consumer:
        waiting = asyncio.create_task(consumer.fetch(1, 30))
        await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await waiting


async def test_a_closed_bus_refuses() -> None:
    bus = MemoryBus()
    await bus.close()
    with pytest.raises(Unavailable):
        await bus.publish(Record("topic", "key", b""))
    with pytest.raises(Unavailable):
        async with bus.subscribe(["topic"], "group"):
            pass


async def test_a_topic_without_groups_keeps_the_newest() -> None:
    bus = MemoryBus(partitions=1, capacity=3)
    for value in range(10):
        await bus.publish(Record("topic", "key", b"%d" % value))
    async with bus.subscribe(["topic"], "group") as consumer:
        assert [(item.record.value, item.offset) for item in await consumer.fetch(9, 1)] == [
            (b"7", 7),
            (b"8", 8),
            (b"9", 9),
        ]


async def test_large_records_fill_a_partition_sooner() -> None:
    """Without groups the oldest make room, as many as need be; one record is held however large it is."""
    bus = MemoryBus(partitions=1, capacity_bytes=10)
    for value in (b"1111", b"2222", b"33", b"4444"):
        await bus.publish(Record("topic", "key", value))
    async with bus.subscribe(["topic"], "group") as consumer:
        held = await consumer.fetch(9, 1)
        assert [item.record.value for item in held] == [b"2222", b"33", b"4444"]
        with pytest.raises(Unavailable):
            await bus.publish(Record("topic", "key", b"5"))
        for item in held:
            await consumer.settle(item)
        await bus.publish(Record("topic", "key", b"6" * 11))
        with pytest.raises(Unavailable):
            await bus.publish(Record("topic", "key", b""))


async def test_a_full_partition_refuses_until_its_groups_settle() -> None:
    bus = MemoryBus(partitions=1, capacity=2)
    async with bus.subscribe(["topic"], "one") as one, bus.subscribe(["topic"], "other") as other:
        for _ in range(2):
            await bus.publish(Record("topic", "key", b""))
        with pytest.raises(Unavailable):
            await bus.publish(Record("topic", "key", b""))
        for consumer in (one, other):
            with pytest.raises(Unavailable):
                await bus.publish(Record("topic", "key", b""))
            first, second = await consumer.fetch(2, 1)
            await consumer.settle(second)
            await consumer.settle(first)
        for _ in range(2):
            await bus.publish(Record("topic", "key", b""))


async def test_a_reject_that_cannot_be_published_leaves_the_record_owed() -> None:
    bus = MemoryBus(partitions=1, capacity=1)
    async with bus.subscribe(["topic.dlq"], "undertaker"):
        await bus.publish(Record("topic.dlq", "key", b"fills the partition"))
        await bus.publish(Record("topic", "key", b"bad"))
        async with bus.subscribe(["topic"], "group") as consumer:
            (bad,) = await consumer.fetch(1, 1)
            with pytest.raises(Unavailable):
                await consumer.reject(bad, "why", "BadInput")
        async with bus.subscribe(["topic"], "group") as consumer:
            assert await consumer.fetch(1, 1) == [bad]


async def test_a_busy_partition_does_not_starve_the_others() -> None:
    bus = MemoryBus(partitions=2)
    async with bus.subscribe(["topic"], "group") as consumer:
        for key in "abcdefgh" * 10:
            await bus.publish(Record("topic", key, b""))
        deliveries = [item for _ in range(2) for item in await consumer.fetch(1, 1)]
    assert {item.partition for item in deliveries} == {0, 1}


async def test_a_member_keeps_what_it_has_in_hand_when_another_joins() -> None:
    """Sticky: of the partitions only those move that the newcomer needs."""
    bus = MemoryBus(partitions=4)
    async with bus.subscribe(["topic"], "group") as first:
        for value in range(40):
            await bus.publish(Record("topic", f"key-{value}", b"%d" % value))
        held = await first.fetch(40, 1)
        async with bus.subscribe(["topic"], "group") as second:
            again = await second.fetch(40, 1)
            assert await first.fetch(40, 0) == []
    assert {item.partition for item in held} == {0, 1, 2, 3}
    assert {item.partition for item in again} == {2, 3}
    assert [item for item in held if item.partition in (2, 3)] == again

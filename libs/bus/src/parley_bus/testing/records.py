"""Contract: publishing, fetching, settling and rejecting, with one consumer."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from parley_bus.base import DLQ_SUFFIX, Record
from parley_bus.capability import Capability
from parley_bus.testing.harness import BusHarness, DeclaredBus, settle_all, value_of, values_of
from parley_kit.errors import BadInput


class RecordsContract(BusHarness):
    async def test_record_arrives_unchanged(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """Key, value and headers arrive as published: every byte, empty values and text beyond ASCII included."""
        headers = {"ce_id": "1", "traceparent": "00-ab-cd-01", "dlq_reason": "größer als 日本", "empty": ""}
        published = [Record(topic, "clé", bytes(range(256)), headers), Record(topic, "clé", b"")]
        for record in published:
            await bus.publish(record)
        async with bus.subscribe([topic], group) as consumer:
            assert [delivery.record for delivery in await self.collect(consumer, 2)] == published

    async def test_later_changes_of_headers_are_not_published(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """A record is what it was when it was published."""
        headers = {"ce_id": "1"}
        await bus.publish(Record(topic, "key", b"", headers))
        headers["ce_id"] = "2"
        async with bus.subscribe([topic], group) as consumer:
            assert (await self.collect(consumer, 1))[0].record.headers == {"ce_id": "1"}

    async def test_order_per_key(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """Records of one key arrive in the order of publishing, whatever other keys are between them."""
        for value in range(200):
            await bus.publish(Record(topic, f"key-{value % 17}", b"%d" % value))
        async with bus.subscribe([topic], group) as consumer:
            deliveries = await self.collect(consumer, 200)
        for key in range(17):
            mine = [delivery for delivery in deliveries if delivery.record.key == f"key-{key}"]
            assert values_of(mine) == list(range(key, 200, 17))
            assert len({delivery.partition for delivery in mine}) == 1

    async def test_offsets_count_from_zero(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """The offsets of a partition are 0, 1, 2, ..."""
        await self.publish(bus, topic, range(5), key="one")
        async with bus.subscribe([topic], group) as consumer:
            assert [delivery.offset for delivery in await self.collect(consumer, 5)] == list(range(5))

    async def test_concurrent_publishers(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """Publishers at the same time lose nothing, and each key keeps its order."""
        async with asyncio.TaskGroup() as tasks:
            for writer in range(10):
                values = range(writer * 100, writer * 100 + 20)
                tasks.create_task(self.publish(bus, topic, values, key=f"writer-{writer}"))
        async with bus.subscribe([topic], group) as consumer:
            deliveries = await self.collect(consumer, 200)
        for writer in range(10):
            mine = [value for value in values_of(deliveries) if value // 100 == writer]
            assert mine == list(range(writer * 100, writer * 100 + 20))

    async def test_several_topics(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """One consumer reads all the topics that it names."""
        async with bus.subscribe([topic, f"{topic}.other"], group) as consumer:
            await self.publish(bus, topic, [1])
            await self.publish(bus, f"{topic}.other", [2])
            assert sorted(values_of(await self.collect(consumer, 2))) == [1, 2]

    async def test_new_group_starts_at_first_record(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """What was published before the group existed is delivered to it."""
        await self.publish(bus, topic, range(5), key="one")
        async with bus.subscribe([topic], group) as consumer:
            assert values_of(await self.collect(consumer, 5)) == list(range(5))

    async def test_fetch_gives_at_most_what_was_asked(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """`most` bounds a batch, and the rest follows in order."""
        await self.publish(bus, topic, range(5), key="one")
        async with bus.subscribe([topic], group) as consumer:
            values: list[int] = []
            while len(values) < 5:
                batch = await consumer.fetch(2, self.patience)
                assert 1 <= len(batch) <= 2
                values += values_of(batch)
        assert values == list(range(5))

    async def test_fetch_of_nothing_is_refused(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """`most` below 1 is BadInput."""
        async with bus.subscribe([topic], group) as consumer:
            with pytest.raises(BadInput):
                await consumer.fetch(0, self.quiet)

    async def test_fetch_times_out_empty(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """Where nothing comes, fetch waits its time and returns nothing."""
        async with bus.subscribe([topic], group) as consumer:
            started = monotonic()
            assert list(await consumer.fetch(1, self.quiet)) == []
            assert self.quiet * 0.9 <= monotonic() - started < self.patience

    async def test_publish_wakes_a_waiting_fetch(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """A fetch that waits gets the record when it is published, not at its timeout."""
        async with bus.subscribe([topic], group) as consumer:
            waiting = asyncio.create_task(consumer.fetch(1, self.patience * 10))
            await asyncio.sleep(self.quiet)
            await self.publish(bus, topic, [7])
            async with asyncio.timeout(self.patience):
                assert values_of(await waiting) == [7]

    async def test_delivered_once_while_nobody_leaves(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """A member does not get again what it has in hand, settled or not."""
        await self.publish(bus, topic, range(5), key="one")
        async with bus.subscribe([topic], group) as consumer:
            first = await self.collect(consumer, 5)
            await consumer.settle(first[2])
            await self.assert_quiet(consumer)

    async def test_settled_is_never_delivered_again(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """Settled in any order, nothing comes back to the group."""
        await self.publish(bus, topic, range(4), key="one")
        async with bus.subscribe([topic], group) as consumer:
            await settle_all(consumer, reversed(await self.collect(consumer, 4)))
        async with bus.subscribe([topic], group) as consumer:
            await self.assert_quiet(consumer)

    async def test_committed_position_is_the_lowest_unsettled(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """What was skipped comes back first; what was settled above it does not (EXACT_SETTLE), or comes after it."""
        await self.publish(bus, topic, range(4), key="one")
        async with bus.subscribe([topic], group) as consumer:
            deliveries = await self.collect(consumer, 4)
            await settle_all(consumer, [deliveries[3], deliveries[0], deliveries[2]])
        async with bus.subscribe([topic], group) as consumer:
            if Capability.EXACT_SETTLE in self.capabilities:
                assert values_of(await self.collect(consumer, 1)) == [1]
                await self.assert_quiet(consumer)
            else:
                assert values_of(await self.collect(consumer, 3)) == [1, 2, 3]

    async def test_reject_moves_the_record_aside(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """A rejected record goes raw to `<topic>.dlq` with its origin and the reason; the partition moves on."""
        await bus.publish(Record(topic, "one", b"\xff", {"ce_id": "bad"}))
        await self.publish(bus, topic, [1], key="one")
        async with bus.subscribe([topic], group) as consumer:
            bad, good = await self.collect(consumer, 2)
            await consumer.reject(bad, "cannot be decoded", "BadInput")
            assert value_of(good) == 1
        async with bus.subscribe([topic], group) as consumer:
            assert values_of(await self.collect(consumer, 1)) == [1]
        async with bus.subscribe([topic + DLQ_SUFFIX], group) as undertaker:
            (letter,) = await self.collect(undertaker, 1)
        origin = {"dlq_topic": topic, "dlq_partition": str(bad.partition), "dlq_offset": str(bad.offset)}
        headers = {"ce_id": "bad", "dlq_reason": "cannot be decoded", "dlq_error": "BadInput", **origin}
        assert letter.record == Record(topic + DLQ_SUFFIX, "one", b"\xff", headers)

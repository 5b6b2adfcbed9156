"""Contract: groups and their members, who come, share, leave and hand on."""

from __future__ import annotations

import asyncio

from parley_bus.base import Consumer, Delivery
from parley_bus.capability import Capability
from parley_bus.testing.harness import BusHarness, DeclaredBus, settle_all, values_of


class GroupsContract(BusHarness):
    async def test_each_group_gets_everything(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """Two groups each get all the records, whatever the other has settled."""
        async with bus.subscribe([topic], group) as one, bus.subscribe([topic], f"{group}.other") as other:
            await self.publish(bus, topic, range(30))
            for consumer in (one, other):
                deliveries = await self.collect(consumer, 30)
                assert sorted(values_of(deliveries)) == list(range(30))
                await settle_all(consumer, deliveries)

    async def test_late_group(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """A group that comes late gets all that is kept: everything (REPLAY), or what older groups have not settled."""
        await self.publish(bus, topic, range(3), key="one")
        async with bus.subscribe([topic], group) as consumer:
            await settle_all(consumer, (await self.collect(consumer, 3))[:2])
        kept = [0, 1, 2] if Capability.REPLAY in self.capabilities else [2]
        async with bus.subscribe([topic], f"{group}.late") as late:
            assert values_of(await self.collect(late, len(kept))) == kept

    async def test_members_share_the_partitions(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """While nobody comes or goes, members own different partitions and each record comes to one of them, once."""
        async with bus.subscribe([topic], group) as one, bus.subscribe([topic], group) as other:
            await self._both_work(bus, topic, one, other)
            await self.publish(bus, topic, range(1000, 1100))
            shares = await self.share([one, other], 100)
        assert sorted(values_of(shares[0] + shares[1])) == list(range(1000, 1100))
        first, second = ({delivery.partition for delivery in share} for share in shares)
        assert first
        assert second
        assert not first & second

    async def test_unsettled_comes_back_in_order(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """What a consumer leaves unsettled is delivered again, in order, to whoever comes."""
        await self.publish(bus, topic, range(5), key="one")
        async with bus.subscribe([topic], group) as consumer:
            await settle_all(consumer, (await self.collect(consumer, 4))[:2])
        async with bus.subscribe([topic], group) as consumer:
            assert values_of(await self.collect(consumer, 3)) == [2, 3, 4]

    async def test_survivor_gets_what_the_leaver_owed(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """When a member leaves, a member that waits is woken with what the leaver had in hand or had not asked for."""
        async with bus.subscribe([topic], group) as survivor:
            async with bus.subscribe([topic], group) as leaver:
                await self._both_work(bus, topic, survivor, leaver)
                await self.publish(bus, topic, range(1000, 1050))
                owed = set(values_of(await leaver.fetch(2, self.patience)))
                mine = await self._drain(survivor)
                waiting = asyncio.create_task(survivor.fetch(100, self.patience * 10))
                await asyncio.sleep(self.quiet)
            async with asyncio.timeout(self.patience):
                rest = list(await waiting)
                while len(mine) + len(rest) < 50:
                    rest += await survivor.fetch(100, self.patience)
        assert owed
        assert owed <= set(values_of(rest))
        assert sorted(values_of(mine + rest)) == list(range(1000, 1050))

    async def test_nothing_is_fetched_ahead(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """What a member did not ask for waits in the topic, and is another's after it leaves."""
        async with bus.subscribe([topic], group) as idle:
            await self.publish(bus, topic, range(20), key="one")
            await settle_all(idle, await idle.fetch(1, self.patience))
        async with bus.subscribe([topic], group) as consumer:
            assert values_of(await self.collect(consumer, 19)) == list(range(1, 20))

    async def test_settle_after_the_partition_moved(self, bus: DeclaredBus, topic: str, group: str) -> None:
        """A late settle by the former owner is harmless: no error, and nothing unsettled is lost."""
        await self.publish(bus, topic, range(3), key="one")
        async with bus.subscribe([topic], group) as former:
            deliveries = await self.collect(former, 3)
        async with bus.subscribe([topic], group) as owner:
            assert values_of(await self.collect(owner, 3)) == [0, 1, 2]
            await former.settle(deliveries[0])
        async with bus.subscribe([topic], group) as owner:
            owed = [1, 2] if Capability.EXACT_SETTLE in self.capabilities else [0, 1, 2]
            assert values_of(await self.collect(owner, len(owed))) == owed

    async def _both_work(self, bus: DeclaredBus, topic: str, one: Consumer, other: Consumer) -> None:
        """Publish rounds until both members get records and no rebalance disturbs: the group is then at rest."""
        async with asyncio.timeout(self.patience):
            for start in range(0, 1000, 50):
                await self.publish(bus, topic, range(start, start + 50))
                shares = await self.share([one, other], 50)
                if all(shares) and len(shares[0]) + len(shares[1]) == 50:
                    return
        raise AssertionError("one of the members never got a record")

    async def _drain(self, consumer: Consumer) -> list[Delivery]:
        """All that this member can get now, settled."""
        deliveries: list[Delivery] = []
        while batch := await consumer.fetch(100, self.quiet):
            deliveries += batch
            await settle_all(consumer, batch)
        return deliveries

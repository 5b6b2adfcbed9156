"""Groups on a real broker: members that die, come back, hold on to what they have, and join others."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from parley_bus import Consumer, Delivery, Record
from parley_bus.kafka import KafkaBus, KafkaSettings, member, open_kafka

PATIENCE = 20.0
LONG_SESSION = 60.0

MEMBER = """
import asyncio, sys
from parley_bus.kafka import KafkaSettings, open_kafka

async def main(servers, name, session, topic, group, settled):
    settings = KafkaSettings.load(kafka_servers=servers, client_name=name, kafka_session_seconds=session)
    async with open_kafka(settings) as bus, bus.subscribe([topic], group) as consumer:
        held = []
        while len(held) < 4:
            held += await consumer.fetch(4 - len(held), 20)
        for index in map(int, settled):
            await consumer.settle(held[index])
        print(*(item.offset for item in held), flush=True)
        await asyncio.sleep(60)

asyncio.run(main(*sys.argv[1:7]))
"""


@pytest.fixture
def topic() -> str:
    """Also the group's name."""
    return f"members.{uuid4().hex}"


@asynccontextmanager
async def opened(
    kafka: str, name: str | None = None, partitions: int = 1, session: float = LONG_SESSION
) -> AsyncIterator[KafkaBus]:
    settings = KafkaSettings.load(
        kafka_servers=kafka, client_name=name, kafka_partitions=partitions, kafka_session_seconds=session
    )
    async with open_kafka(settings) as bus:
        yield bus


async def publish(bus: KafkaBus, topic: str, count: int) -> None:
    for value in range(count):
        await bus.publish(Record(topic, f"key-{value}", b"%d" % value))


async def collect(consumer: Consumer, count: int) -> list[Delivery]:
    held: list[Delivery] = []
    async with asyncio.timeout(PATIENCE):
        while len(held) < count:
            held += await consumer.fetch(count - len(held), PATIENCE)
    return held


def places(deliveries: Sequence[Delivery]) -> set[tuple[int, int]]:
    return {(item.partition, item.offset) for item in deliveries}


async def until_committed(kafka: str, topic: str, offset: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                committed = await admin.list_consumer_group_offsets(topic)
                if (found := committed.get(TopicPartition(topic, 0))) and found.offset == offset:
                    return
                await asyncio.sleep(0.01)
    finally:
        await admin.close()


@asynccontextmanager
async def member_process(
    kafka: str, name: str, topic: str, settled: str, session: float = LONG_SESSION
) -> AsyncIterator[str]:
    """A member in its own process, which holds four records and has settled some. It is killed without a word."""
    arguments = (kafka, name, str(session), topic, topic, settled)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", MEMBER, *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            yield (await process.stdout.readline()).decode().strip()
    finally:
        process.kill()
        await process.wait()
        await process.stdout.read()


async def test_a_process_that_was_killed_goes_on_at_once_with_the_lowest_unsettled(kafka: str, topic: str) -> None:
    """Static membership, and the order of commits: 3 and 0 were settled, so 1 and all above it come again."""
    async with opened(kafka, "worker-1") as bus:
        await publish(bus, topic, 4)
        async with member_process(kafka, "worker-1", topic, "30") as held:
            assert held == "0 1 2 3"
            await until_committed(kafka, topic, 1)
        died = time.monotonic()
        async with bus.subscribe([topic], topic) as successor:
            again = await collect(successor, 3)
        assert [item.offset for item in again] == [1, 2, 3]
        assert time.monotonic() - died < LONG_SESSION / 4


async def test_what_a_dead_process_held_moves_when_its_session_ends(kafka: str, topic: str) -> None:
    async with opened(kafka, "worker-2", partitions=2, session=3) as bus:
        await publish(bus, topic, 20)
        async with bus.subscribe([topic], topic) as survivor:
            held = await collect(survivor, 20)
            async with member_process(kafka, "worker-3", topic, "", session=3) as others:
                assert others == "0 1 2 3"
                for item in held:
                    await survivor.settle(item)
            again = await collect(survivor, 4)
            assert len({item.partition for item in again}) == 1
            assert [item.offset for item in again] == [0, 1, 2, 3]


async def test_who_does_not_fetch_for_long_stays_a_member(kafka: str, topic: str) -> None:
    """A worker without room for two sessions keeps what it holds; nobody else is given it."""
    async with opened(kafka, "worker-4", session=3) as bus:
        await publish(bus, topic, 3)
        async with bus.subscribe([topic], topic) as busy:
            held = await collect(busy, 3)
            async with bus.subscribe([topic], topic) as idle:
                assert not await idle.fetch(3, 6.0)
            for item in held:
                await busy.settle(item)
            assert not await busy.fetch(3, 0.5)
        await until_committed(kafka, topic, 3)


async def test_a_rebalance_moves_half_and_loses_nothing(kafka: str, topic: str) -> None:
    """What stays with its owner is not delivered again, what moves is delivered to the newcomer."""
    async with opened(kafka, "worker-5", partitions=4) as bus:
        await publish(bus, topic, 40)
        async with bus.subscribe([topic], topic) as first:
            held = await collect(first, 40)
            async with bus.subscribe([topic], topic) as second:
                moved, gone = list[Delivery](), set[int]()
                while len(gone) < 2 or places(moved) != {place for place in places(held) if place[0] in gone}:
                    moved += await collect(second, 1)
                    gone = {item.partition for item in moved}
                assert not await second.fetch(40, 0.5)
                assert not await first.fetch(40, 0.5)
                for item in held:
                    await first.settle(item)
            again = await collect(first, len(moved))
            assert places(again) == places(moved)
            assert not await first.fetch(40, 0.5)


@pytest.fixture
def late_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if what was settled had been settled only now."""
    monkeypatch.setattr(member, "WATCH_SECONDS", LONG_SESSION)
    monkeypatch.setattr(member, "COMMIT_LINGER_SECONDS", LONG_SESSION)


@pytest.mark.usefixtures("late_commits")
async def test_what_is_settled_is_committed_before_its_partition_moves(kafka: str, topic: str) -> None:
    async with opened(kafka, "worker-6", partitions=2) as bus:
        await publish(bus, topic, 30)
        async with bus.subscribe([topic], topic) as first:
            for item in await collect(first, 30):
                await first.settle(item)
            async with bus.subscribe([topic], topic) as second:
                assert not await second.fetch(30, 1.0)


@pytest.mark.usefixtures("late_commits")
async def test_leaving_makes_the_last_commit(kafka: str, topic: str) -> None:
    async with opened(kafka, "worker-7") as bus:
        await publish(bus, topic, 2)
        async with bus.subscribe([topic], topic) as consumer:
            for item in await collect(consumer, 2):
                await consumer.settle(item)
        async with bus.subscribe([topic], topic) as successor:
            assert not await successor.fetch(2, 0.5)

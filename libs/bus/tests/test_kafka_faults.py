"""A broker that is killed, paused, or not there yet: refusals within 2 s, nothing lost, no hand needed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from parley_bus import DLQ_SUFFIX, Consumer, Delivery, Record
from parley_bus.kafka import KafkaBus, KafkaSettings, open_kafka
from parley_bus.kafka.producer import MAX_RECORD_BYTES
from parley_kit.errors import BadInput, Unavailable
from parley_local import servers
from parley_local.ports import Ports
from parley_local.testing import ServerProcess

pytestmark = pytest.mark.timeout(240)

PATIENCE = 100.0
"""Seconds: a broker starts in 3, on a busy machine in 30."""
RETRY_SECONDS = 0.25


class Broker:
    """A broker of our own, to be killed. It dies with the thread that started it, so that thread is kept."""

    def __init__(self, folder: Path) -> None:
        self.process = ServerProcess(servers.kafka(folder, Ports()), folder / "kafka.log")
        self._thread = ThreadPoolExecutor(1)

    @property
    def address(self) -> str:
        return self.process.address

    async def start(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self.process.start)

    async def restart(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self.process.restart)

    async def pause(self) -> None:
        """Returns once every thread has stopped: until then it may still answer."""
        self.process.pause()
        threads = Path(f"/proc/{self.process.pid}/task")
        while True:
            states = [(thread / "stat").read_text().rpartition(")")[2].split()[0] for thread in threads.iterdir()]
            if set(states) == {"T"}:
                return
            await asyncio.sleep(0.01)

    def close(self) -> None:
        self.process.kill()
        self._thread.shutdown()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("kafka"))
    try:
        asyncio.run(broker.start())
        yield broker
    finally:
        broker.close()


@pytest.fixture
async def bus(broker: Broker) -> AsyncIterator[KafkaBus]:
    async with open_kafka(KafkaSettings.load(kafka_servers=broker.address, kafka_partitions=2)) as bus:
        yield bus


async def refused_in_time(call: Awaitable[object]) -> None:
    started = time.monotonic()
    with pytest.raises(Unavailable):
        await call
    assert time.monotonic() - started < 2.0


async def published(bus: KafkaBus, record: Record) -> None:
    """Until it is acknowledged; each try ends in time."""
    async with asyncio.timeout(PATIENCE):
        while True:
            started = time.monotonic()
            try:
                return await bus.publish(record)
            except Unavailable:
                assert time.monotonic() - started < 2.0
                await asyncio.sleep(RETRY_SECONDS)


async def collect(consumer: Consumer, count: int) -> list[Delivery]:
    """The next deliveries, however often the broker is away meanwhile."""
    held: list[Delivery] = []
    async with asyncio.timeout(PATIENCE):
        while len(held) < count:
            try:
                held += await consumer.fetch(count - len(held), 1.0)
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)
    return held


async def test_no_acknowledged_record_is_lost_through_kills(broker: Broker, bus: KafkaBus) -> None:
    """Two kills under load: every acknowledged record arrives, and of each key in the order of publishing."""
    done = asyncio.Event()
    written: Counter[str] = Counter()
    more = asyncio.Event()

    async def write(key: str) -> int:
        value = 0
        while not done.is_set():
            await published(bus, Record("killed", key, b"%d" % value))
            value += 1
            written[key] = value
            more.set()
        return value

    async def some_more() -> None:
        before = written.copy()
        async with asyncio.timeout(PATIENCE):
            while any(written[key] < before[key] + 5 for key in writers):
                more.clear()
                await more.wait()

    async with asyncio.TaskGroup() as tasks:
        writers = {key: tasks.create_task(write(key)) for key in ("a", "b", "c")}
        for _ in range(2):
            await some_more()
            await broker.restart()
        await some_more()
        done.set()
    counts = {key: writer.result() for key, writer in writers.items()}
    seen: dict[str, list[int]] = {key: [] for key in counts}
    async with bus.subscribe(["killed"], "reader") as consumer, asyncio.timeout(PATIENCE):
        while any(len(set(seen[key])) < counts[key] for key in counts):
            for delivery in await consumer.fetch(500, 1.0):
                seen[delivery.record.key].append(int(delivery.record.value))
    for values in seen.values():
        assert values == sorted(values), "a repetition came behind a later record"


async def test_a_paused_broker_is_away_within_two_seconds(broker: Broker, bus: KafkaBus) -> None:
    await published(bus, Record("paused", "key", b"before"))
    async with bus.subscribe(["paused"], "group") as consumer:
        (held,) = await collect(consumer, 1)
        await broker.pause()
        try:
            await refused_in_time(bus.check())
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(refused_in_time(bus.publish(Record("paused", "key", b"lost"))))
                await asyncio.sleep(0.2)  # now that is under way, and what follows waits behind it in the producer
                tasks.create_task(refused_in_time(bus.publish(Record("paused", "key", b"never sent"))))
            await refused_in_time(bus.publish(Record("unheard-of", "key", b"lost")))
            await refused_in_time(consumer.fetch(1, 0.1))
        finally:
            broker.process.resume()
        await published(bus, Record("paused", "key", b"after"))
        await consumer.settle(held)
        values: list[bytes] = []
        while b"after" not in values:
            values += [item.record.value for item in await collect(consumer, 1)]
        assert b"before" not in values
        assert b"never sent" not in values, "a producer that was given up goes on sending"
        await bus.check()


async def test_who_leaves_a_paused_broker_is_gone_within_four_seconds(broker: Broker, bus: KafkaBus) -> None:
    """Nothing of the membership lives on: what it held is delivered to its successor."""
    await published(bus, Record("left", "key", b"held"))
    async with AsyncExitStack() as stack:
        consumer = await stack.enter_async_context(bus.subscribe(["left"], "group"))
        await collect(consumer, 1)
        await broker.pause()
        started = time.monotonic()
        try:
            await stack.aclose()
            assert time.monotonic() - started < 4.5
            assert not {it for it in map(repr, asyncio.all_tasks()) if "GroupCoordinator" in it or "Fetcher" in it}
        finally:
            broker.process.resume()
    async with bus.subscribe(["left"], "group") as successor:
        assert [item.record.value for item in await collect(successor, 1)] == [b"held"]


async def test_a_consumer_goes_on_after_the_broker_was_killed(broker: Broker, bus: KafkaBus) -> None:
    """What was settled before stays settled, what was in hand stays in hand, what is new arrives."""
    for value in (b"0", b"1"):
        await published(bus, Record("gone", "key", value))
    async with bus.subscribe(["gone"], "group") as consumer:
        held = await collect(consumer, 2)
        await consumer.settle(held[0])
        await broker.restart()
        await published(bus, Record("gone", "key", b"2"))
        held += await collect(consumer, 1)
        assert not await consumer.fetch(1, 1.0)
    assert [item.record.value for item in held] == [b"0", b"1", b"2"]


async def test_a_topic_that_was_deleted_is_made_again(broker: Broker, bus: KafkaBus) -> None:
    """Its offsets begin at 0 again; a consumer that had read further reads them."""
    for _ in range(2):
        await published(bus, Record("deleted", "key", b"old"))
    async with bus.subscribe(["deleted"], "group") as consumer:
        old = await collect(consumer, 2)
        await consumer.settle(old[0])
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
        await admin.start()
        try:
            await admin.delete_topics(["deleted"])
        finally:
            await admin.close()
        new: list[Delivery] = []
        async with asyncio.timeout(PATIENCE):
            while not new:  # what the old topic still took is gone with it
                await published(bus, Record("deleted", "key", b"new"))
                with suppress(Unavailable):
                    new += await consumer.fetch(1, 1.0)
        assert (new[0].offset, new[0].record.value) == (0, b"new")


async def test_all_opens_before_the_broker_is_there(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    async with open_kafka(KafkaSettings.load(kafka_servers=broker.address)) as bus:
        await refused_in_time(bus.check())
        await refused_in_time(bus.publish(Record("early", "key", b"")))
        async with bus.subscribe(["early"], "group") as consumer:
            await refused_in_time(consumer.fetch(1, 1.0))
            try:
                await broker.start()
                await published(bus, Record("early", "key", b"first"))
                assert [item.record.value for item in await collect(consumer, 1)] == [b"first"]
            finally:
                broker.close()


async def test_a_record_over_the_cap_is_bad_input_and_one_at_the_cap_fits_the_dead_letters(bus: KafkaBus) -> None:
    with pytest.raises(BadInput):
        await bus.publish(Record("large", "key", bytes(MAX_RECORD_BYTES)))
    largest = Record("large", "key", bytes(MAX_RECORD_BYTES - 3))
    await published(bus, largest)
    async with bus.subscribe(["large"], "group") as consumer:
        (delivery,) = await collect(consumer, 1)
        await consumer.reject(delivery, "r" * 100_000, "BadInput")
    async with bus.subscribe(["large" + DLQ_SUFFIX], "group") as undertaker:
        (letter,) = await collect(undertaker, 1)
    assert letter.record.value == largest.value
    assert letter.record.headers["dlq_error"] == "BadInput"

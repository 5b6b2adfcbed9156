"""KafkaBus: the port over Apache Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import ClassVar

from parley_bus.base import Consumer, Record
from parley_bus.capability import Capability
from parley_bus.kafka import metrics
from parley_bus.kafka.cluster import Cluster
from parley_bus.kafka.consumer import KafkaConsumer
from parley_bus.kafka.producer import Producer
from parley_bus.kafka.settings import KafkaSettings
from parley_kit.clock import Clock, SystemClock
from parley_kit.errors import BadInput, Unavailable

PUBLISH_SECONDS = 1.8
JOIN_SECONDS = 10.0


class KafkaBus:
    """Opens nothing before it is used: while Kafka is away `publish` and `fetch` raise Unavailable within 2 s, and when
    it is back they go on. A subscription made meanwhile joins its group as soon as it can."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.REPLAY})

    def __init__(self, settings: KafkaSettings, clock: Clock) -> None:
        self._settings = settings
        self._cluster = Cluster(settings, clock)
        self._producer = Producer(settings)
        self._instances: set[str] = set()
        self._closed = False

    async def publish(self, record: Record) -> None:
        """Returns when all replicas in sync have it. Raises BadInput for a record of more than 4 MiB."""
        self._check_open()
        deadline = asyncio.get_running_loop().time() + PUBLISH_SECONDS
        outcome = "cancelled"
        try:
            async with asyncio.timeout_at(deadline):
                await self._cluster.ensure([record.topic])
            await self._producer.send(record, deadline)
            outcome = "ok"
        except TimeoutError:
            outcome = "unavailable"
            raise Unavailable(f"Kafka at {self._settings.kafka_servers} does not answer") from None
        except (BadInput, Unavailable) as error:
            outcome = error.code.lower()
            raise
        finally:
            if outcome == "unavailable":
                self._cluster.forget(record.topic)  # it may have been deleted: then it is made again
            metrics.PUBLISHED.labels(record.topic, outcome).inc()

    @asynccontextmanager
    async def subscribe(self, topics: Sequence[str], group: str) -> AsyncIterator[Consumer]:
        self._check_open()
        instance = self._take_instance(group)
        consumer = KafkaConsumer(self._settings, self._cluster, self.publish, topics, group, instance)
        member = asyncio.create_task(consumer.run(), name=f"kafka group {group}")
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(JOIN_SECONDS):
                    await consumer.joined_or_failed()
            yield consumer
        finally:
            member.cancel()
            await asyncio.gather(member, return_exceptions=True)
            self._instances.discard(instance)

    async def check(self) -> None:
        """For readiness. Raises Unavailable when no broker answers within 1.5 s."""
        self._check_open()
        await self._cluster.check()

    async def close(self) -> None:
        """Refuse everything from now on. Idempotent."""
        self._closed = True
        await self._producer.close()
        await self._cluster.close()

    def _take_instance(self, group: str) -> str:
        """The member's name, the same when the process is started again: the first that is free here."""
        names = (f"{self._settings.process_name}.{group}.{index}" for index in count())
        instance = next(name for name in names if name not in self._instances)
        self._instances.add(instance)
        return instance

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the bus is closed")


@asynccontextmanager
async def open_kafka(settings: KafkaSettings, clock: Clock | None = None) -> AsyncIterator[KafkaBus]:
    """A bus for the block, whether or not Kafka is there yet."""
    bus = KafkaBus(settings, clock or SystemClock())
    try:
        yield bus
    finally:
        await bus.close()

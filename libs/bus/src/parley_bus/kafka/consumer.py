"""The port's consumer: fetch, settle and reject, over memberships that come and go."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from aiokafka import TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError

from parley_bus.base import Delivery, Record
from parley_bus.dlq import dead_letter, stub_letter
from parley_bus.kafka import metrics
from parley_bus.kafka.cluster import Cluster
from parley_bus.kafka.member import Member, Windows
from parley_bus.kafka.settings import KafkaSettings
from parley_kit.errors import BadInput, Unavailable
from parley_kit.logs import get_logger

log = get_logger(__name__)

REACHED_SECONDS = 1.0
"""An answer of the brokers that is no older is taken for "they are there"."""
FIRST_BACKOFF = 0.1
LONGEST_BACKOFF = 2.0


class KafkaConsumer:
    """Rejoins in the background for as long as `run` runs. Windows outlive memberships, so that what is in hand is not
    delivered again to the same process."""

    def __init__(
        self,
        settings: KafkaSettings,
        cluster: Cluster,
        publish: Callable[[Record], Awaitable[None]],
        topics: Sequence[str],
        group: str,
        instance: str,
    ) -> None:
        self._settings = settings
        self._cluster = cluster
        self._publish = publish
        self._topics = tuple(dict.fromkeys(topics))
        self._group = group
        self._instance = instance
        self._windows: Windows = {}
        self._member: Member | None = None
        self._reason: str | None = None
        self._backoff = FIRST_BACKOFF
        self._changed = asyncio.Event()

    async def fetch(self, most: int, timeout: float) -> Sequence[Delivery]:
        if most < 1:
            raise BadInput("most must be at least 1", field="most")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not (batch := await self._take(most, max(0.0, deadline - loop.time()))):
            if loop.time() >= deadline:
                await self._cluster.check(REACHED_SECONDS)
                return []
        for topic, count in Counter(delivery.record.topic for delivery in batch).items():
            metrics.FETCHED.labels(topic, self._group).inc(count)
        return batch

    async def settle(self, delivery: Delivery) -> None:
        """Committed some 20 ms later, and before the partition is handed on."""
        window = self._windows.get(TopicPartition(delivery.record.topic, delivery.partition))
        if window is not None and window.settle(delivery.offset):
            metrics.SETTLED.labels(delivery.record.topic, self._group).inc()
            if self._member is not None:
                self._member.wake()

    async def reject(self, delivery: Delivery, reason: str, error: str) -> None:
        try:
            await self._publish(dead_letter(delivery, reason, error))
        except BadInput:  # other programs can write what we cannot; it must not be owed for ever
            await self._publish(stub_letter(delivery, reason, error))
        metrics.REJECTED.labels(delivery.record.topic, self._group).inc()
        await self.settle(delivery)

    async def run(self) -> None:
        """Be a member of the group until cancelled; then leave it."""
        try:
            while True:
                try:
                    await self._be_member()
                except (KafkaError, Unavailable, OSError) as error:
                    self._failed(str(error) or type(error).__name__)
                    log.warning("kafka_membership_failed", group=self._group, error=repr(error))
                except Exception as error:
                    self._failed(repr(error))
                    log.exception("kafka_membership_failed", group=self._group)
                await asyncio.sleep(random.uniform(0, self._backoff))
        finally:
            self._windows.clear()
            self._failed("the consumer is closed")

    async def joined_or_failed(self) -> None:
        """Until the first attempt to join has come to something."""
        while self._member is None and self._reason is None:
            self._changed.clear()
            await self._changed.wait()

    async def _be_member(self) -> None:
        await self._cluster.ensure(self._topics)
        member = Member(self._settings, self._topics, self._group, self._instance, self._windows)
        try:
            await member.join()
            self._member, self._reason, self._backoff = member, None, FIRST_BACKOFF
            self._changed.set()
            await member.serve()
        finally:
            self._member = None
            await member.leave()

    async def _take(self, most: int, timeout: float) -> list[Delivery]:
        if self._reason is not None:
            raise Unavailable(f"no consumer of {', '.join(self._topics)}: {self._reason}")
        member = self._member
        if member is None:
            return await self._wait(timeout)
        try:
            return await member.take(most, timeout)
        except (KafkaError, ConsumerStoppedError) as error:
            member.fail(error)
            raise Unavailable(f"Kafka could not be read: {error!r}") from error

    async def _wait(self, timeout: float) -> list[Delivery]:
        """For a join that goes on."""
        try:
            async with asyncio.timeout(timeout):
                await self.joined_or_failed()
        except TimeoutError:
            pass
        return []

    def _failed(self, reason: str) -> None:
        self._member, self._reason = None, reason
        self._backoff = min(2 * self._backoff, LONGEST_BACKOFF)
        self._changed.set()
        metrics.MEMBERS_REPLACED.labels(self._group).inc()

"""The brokers as an administrator sees them: whether they answer, and the topics that they hold."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, NoError, TopicAlreadyExistsError, for_code

from parley_bus.base import DLQ_SUFFIX
from parley_bus.kafka.producer import SLACK_BYTES, max_bytes
from parley_bus.kafka.settings import KafkaSettings
from parley_kit.clock import Clock
from parley_kit.errors import Unavailable
from parley_kit.logs import get_logger

log = get_logger(__name__)

T = TypeVar("T")

CALL_SECONDS = 1.5
DLQ_RETENTION_FACTOR = 4
MILLISECONDS_PER_HOUR = 3_600_000


class Cluster:
    """One connection, made at the first call and made anew after an error. Every method raises Unavailable in 1.5 s."""

    def __init__(self, settings: KafkaSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._admin: AIOKafkaAdminClient | None = None
        self._lock = asyncio.Lock()
        self._known: set[str] = set()
        self._answered_at = float("-inf")

    async def check(self, max_age: float = 0) -> None:
        """Whether a broker answers. An answer of the last `max_age` seconds counts."""
        if self._clock.monotonic() - self._answered_at >= max_age:
            await self._call(lambda admin: admin.describe_topics([]))

    async def ensure(self, topics: Iterable[str]) -> None:
        """Create what does not exist yet, each topic together with its dead letters. Asks once for each topic."""
        missing = set(topics) - self._known
        if missing:
            names = missing | {name + DLQ_SUFFIX for name in missing if not name.endswith(DLQ_SUFFIX)}
            await self._call(lambda admin: self._create(admin, names - self._known))
            self._known |= names

    def forget(self, topic: str) -> None:
        """Ask for it again at the next use: somebody may have deleted it."""
        self._known.discard(topic)

    async def topics(self) -> dict[str, list[int]]:
        """All topics and their partitions."""
        found = await self._call(lambda admin: admin.describe_topics())
        return {topic["topic"]: [item["partition"] for item in topic["partitions"]] for topic in found}

    async def close(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            await admin.close()

    async def _create(self, admin: AIOKafkaAdminClient, names: Iterable[str]) -> None:
        topics = [self._new_topic(name) for name in sorted(names)]
        try:
            answer = await admin.create_topics(topics, timeout_ms=round(CALL_SECONDS * 1000))
        except AttributeError as unknown:  # aiokafka looks for the controller's node id, and there is no controller
            raise Unavailable("Kafka has no controller at the moment") from unknown
        for name, code, *_ in answer.topic_errors:
            error = for_code(code)
            if error not in (NoError, TopicAlreadyExistsError):
                raise Unavailable(f"Kafka did not create the topic {name}: {error.__name__}: {error.description}")

    def _new_topic(self, name: str) -> NewTopic:
        hours = self._settings.kafka_retention_hours * (DLQ_RETENTION_FACTOR if name.endswith(DLQ_SUFFIX) else 1)
        return NewTopic(
            name,
            self._settings.kafka_partitions,
            self._settings.kafka_replication,
            topic_configs={
                "retention.ms": str(hours * MILLISECONDS_PER_HOUR),
                "min.insync.replicas": str(self._settings.kafka_min_insync),
                "max.message.bytes": str(max_bytes(name) + SLACK_BYTES),
            },
        )

    async def _call(self, ask: Callable[[Any], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(CALL_SECONDS), self._lock:
                try:
                    answer = await ask(await self._connected())
                except BaseException:
                    await self.close()  # what a broken connection still brings would be taken for the next answer
                    raise
        except (KafkaError, TimeoutError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise Unavailable(f"Kafka at {self._settings.kafka_servers} does not answer: {reason}") from error
        self._answered_at = self._clock.monotonic()
        return answer

    async def _connected(self) -> AIOKafkaAdminClient:
        if self._admin is None:
            self._admin = AIOKafkaAdminClient(
                bootstrap_servers=self._settings.servers,
                client_id=f"{self._settings.process_name}-admin",
                request_timeout_ms=round(CALL_SECONDS * 1000),
            )
            await self._admin.start()
        return self._admin

"""Dead letters as an operator reads them: outside of any group, so that looking changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from parley_bus.base import DLQ_SUFFIX, Bus, Delivery
from parley_bus.dlq import revived
from parley_bus.kafka.bus import open_kafka
from parley_bus.kafka.cluster import Cluster
from parley_bus.kafka.settings import KafkaSettings
from parley_bus.kafka.wire import to_delivery
from parley_kit.clock import SystemClock
from parley_kit.errors import NotFound, Unavailable

CALL_MS = 3_000

Spans = Mapping[TopicPartition, tuple[int, int]]
"""Of each partition, the first offset and the one after the last."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter; its delivery's partition and offset are its place in the dead-letter topic."""

    delivery: Delivery
    time: datetime


@dataclass(frozen=True, slots=True)
class Pile:
    """The dead letters of one topic."""

    topic: str
    count: int
    newest: Letter


class DeadLetters:
    """Every method raises Unavailable; topics may be named with or without `.dlq`, one that has none is NotFound."""

    def __init__(self, consumer: AIOKafkaConsumer, cluster: Cluster, bus: Bus) -> None:
        self._consumer: Any = consumer
        self._cluster = cluster
        self._bus = bus

    async def piles(self) -> list[Pile]:
        """Of each topic that has dead letters, how many, and the newest."""
        topics = await self._cluster.topics()
        spans = await self._spans({name: topics[name] for name in topics if name.endswith(DLQ_SUFFIX)})
        counts: Counter[str] = Counter()
        for partition, (first, end) in spans.items():
            counts[partition.topic] += end - first
        last = await self._read({partition: (end - 1, end) for partition, (first, end) in spans.items() if first < end})
        newest = {letter.delivery.record.topic: letter for letter in sorted(last, key=lambda letter: letter.time)}
        return [Pile(topic, counts[topic], letter) for topic, letter in sorted(newest.items())]

    async def read(self, topic: str, most: int | None = None) -> list[Letter]:
        """The dead letters of a topic, oldest first; with `most`, the newest of them."""
        spans = await self._spans_of(_dead(topic))
        if most is not None:
            spans = {partition: (max(first, end - most), end) for partition, (first, end) in spans.items()}
        letters = sorted(await self._read(spans), key=lambda letter: letter.time)
        return letters if most is None else letters[-most:]

    async def find(self, topic: str, partition: int, offset: int) -> Letter:
        """The letter at a place. Raises NotFound."""
        place = TopicPartition(_dead(topic), partition)
        first, end = (await self._spans_of(place.topic)).get(place, (0, 0))
        if not first <= offset < end:
            raise NotFound(f"{place.topic} has no letter at {partition}:{offset}")
        (letter,) = await self._read({place: (offset, offset + 1)})
        return letter

    async def replay(self, letters: Iterable[Letter]) -> int:
        """Publish them again where they came from, and say how many. The letters stay where they are: replaying twice
        is harmless, as the `ce_id` is the same."""
        count = 0
        for count, letter in enumerate(letters, 1):  # noqa: B007 - the last count is the answer
            await self._bus.publish(revived(letter.delivery.record))
        return count

    async def _spans_of(self, topic: str) -> Spans:
        topics = await self._cluster.topics()
        if topic not in topics:
            raise NotFound(f"there is no topic {topic}")
        return await self._spans({topic: topics[topic]})

    async def _spans(self, topics: Mapping[str, Iterable[int]]) -> Spans:
        partitions = [TopicPartition(topic, number) for topic, numbers in topics.items() for number in numbers]
        if not partitions:
            return {}
        with _unavailable():
            self._consumer.assign(partitions)  # tells aiokafka at once of which topics it must know the leaders
            self._consumer.pause(*partitions)
            first = await self._consumer.beginning_offsets(partitions)
            end = await self._consumer.end_offsets(partitions)
        return {partition: (first[partition], end[partition]) for partition in partitions}

    async def _read(self, spans: Spans) -> list[Letter]:
        wanted = {partition: span for partition, span in spans.items() if span[0] < span[1]}
        letters: list[Letter] = []
        with _unavailable():
            if wanted:
                self._consumer.assign(list(wanted))
            for partition, (first, _) in wanted.items():
                self._consumer.seek(partition, first)
            while wanted:
                letters += await self._next(wanted)
                for partition in tuple(wanted):
                    if await self._consumer.position(partition) >= wanted[partition][1]:
                        del wanted[partition]
        return letters

    async def _next(self, spans: Spans) -> list[Letter]:
        batches = await self._consumer.getmany(timeout_ms=CALL_MS)
        if not batches:
            raise Unavailable("Kafka sent no dead letters in time")
        return [
            Letter(to_delivery(message), datetime.fromtimestamp(message.timestamp / 1000, UTC))
            for partition, messages in batches.items()
            for message in messages
            if partition in spans and message.offset < spans[partition][1]
        ]


@asynccontextmanager
async def open_dead_letters(settings: KafkaSettings) -> AsyncIterator[DeadLetters]:
    """Raises Unavailable when Kafka cannot be reached."""
    cluster = Cluster(settings, SystemClock())
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.servers, request_timeout_ms=CALL_MS, auto_offset_reset="earliest"
    )
    try:
        await cluster.check()
        with _unavailable():
            await consumer.start()
        async with open_kafka(settings) as bus:
            yield DeadLetters(consumer, cluster, bus)
    finally:
        await consumer.stop()
        await cluster.close()


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except (KafkaError, TimeoutError, OSError) as error:
        raise Unavailable(f"Kafka could not be read: {error!r}") from error


def _dead(topic: str) -> str:
    return topic if topic.endswith(DLQ_SUFFIX) else topic + DLQ_SUFFIX

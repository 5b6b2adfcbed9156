"""KafkaBus on a real broker: the contract, and what only Kafka can show."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from prometheus_client import REGISTRY

from parley_bus import DLQ_SUFFIX, Capability, Delivery, Record
from parley_bus.events import inference_topic
from parley_bus.kafka import KafkaBus, KafkaSettings, open_kafka
from parley_bus.kafka.producer import MAX_RECORD_BYTES
from parley_bus.testing.contract import BusContract
from parley_kit.errors import BadInput


class TestKafkaBus(BusContract):
    capabilities = frozenset({Capability.REPLAY})
    quiet = 0.3

    @pytest.fixture
    async def bus(self, kafka: str) -> AsyncIterator[KafkaBus]:
        """A session longer than any test's patience: what moves on leaving does not move by a timeout."""
        settings = KafkaSettings.load(kafka_servers=kafka, kafka_partitions=4, kafka_session_seconds=60)
        async with open_kafka(settings) as bus:
            yield bus


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_what_happens_is_counted(kafka: str) -> None:
    topic = f"counted.{uuid4().hex}"
    where = {"topic": topic, "group": "group"}
    async with open_kafka(KafkaSettings.load(kafka_servers=kafka, kafka_partitions=1)) as bus:
        for _ in range(5):
            await bus.publish(Record(topic, "key", b""))
        with pytest.raises(BadInput):
            await bus.publish(Record(topic, "key", bytes(MAX_RECORD_BYTES)))
        async with bus.subscribe([topic], "group") as consumer, asyncio.timeout(20):
            held: list[Delivery] = []
            while len(held) < 3:
                held += await consumer.fetch(3 - len(held), 1.0)
            await consumer.settle(held[0])
            await consumer.reject(held[1], "why", "BadInput")
            while True:
                if counted("parley_bus_lag", **where) == 3:  # one in hand, two not handed out
                    break
                await asyncio.sleep(0.05)
    assert counted("parley_bus_published_total", topic=topic, outcome="ok") == 5
    assert counted("parley_bus_published_total", topic=topic, outcome="bad_input") == 1
    assert counted("parley_bus_fetched_total", **where) == 3
    assert counted("parley_bus_settled_total", **where) == 2
    assert counted("parley_bus_rejected_total", **where) == 1
    assert counted("parley_bus_lag", **where) == 0


async def test_a_record_over_the_cap_of_a_topic_made_by_others_is_bad_input(kafka: str) -> None:
    """Trying again could never help, and costs all others their producer each time."""
    topic = f"small.{uuid4().hex}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"max.message.bytes": "1000"})])
    finally:
        await admin.close()
    async with open_kafka(KafkaSettings.load(kafka_servers=kafka)) as bus:
        with pytest.raises(BadInput, match=topic):
            await bus.publish(Record(topic, "key", bytes(2000)))
        await bus.publish(Record(topic, "key", b"small"))


async def test_a_record_that_fits_no_dead_letter_blocks_no_partition(kafka: str) -> None:
    """The broker counts compressed bytes, so others can write what we could not: its letter says where it is."""
    topic = f"huge.{uuid4().hex}"
    async with open_kafka(KafkaSettings.load(kafka_servers=kafka, kafka_partitions=1)) as bus:
        await bus.publish(Record(topic, "key", b"first"))
        async with AIOKafkaProducer(
            bootstrap_servers=kafka, compression_type="gzip", max_request_size=4 * MAX_RECORD_BYTES
        ) as stranger:
            await stranger.send_and_wait(topic, bytes(2 * MAX_RECORD_BYTES), b"key", headers=[("mark", b"x")])
        async with bus.subscribe([topic], "group") as consumer, asyncio.timeout(20):
            held: list[Delivery] = []
            while len(held) < 2:
                held += await consumer.fetch(2 - len(held), 1.0)
            await consumer.reject(held[1], "no event", "BadInput")
        async with bus.subscribe([topic + DLQ_SUFFIX], "group") as undertaker, asyncio.timeout(20):
            letters: list[Delivery] = []
            while not letters:
                letters += await undertaker.fetch(1, 1.0)
    assert letters[0].record.value == b""
    headers = letters[0].record.headers
    assert (headers["dlq_topic"], headers["dlq_offset"], headers["dlq_error"]) == (topic, "1", "BadInput")
    assert headers["dlq_reason"].startswith("no event")
    assert "left out" in headers["dlq_reason"]


async def test_the_requests_for_a_model_of_any_name_are_delivered(kafka: str) -> None:
    model = f"My Model ({uuid4().hex})"
    topic = inference_topic(model)
    async with open_kafka(KafkaSettings.load(kafka_servers=kafka, kafka_partitions=1)) as bus:
        await bus.publish(Record(topic, "key", b"request"))
        async with bus.subscribe([topic], f"parley-worker.{model}") as consumer, asyncio.timeout(20):
            while not (held := await consumer.fetch(1, 1.0)):
                pass
    assert held[0].record.value == b"request"

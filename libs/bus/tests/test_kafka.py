"""KafkaBus on a real broker: the contract, and what only Kafka can show."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from parley_bus import Capability
from parley_bus.kafka import KafkaBus, KafkaSettings, open_kafka
from parley_bus.testing.contract import BusContract


class TestKafkaBus(BusContract):
    capabilities = frozenset({Capability.REPLAY})
    quiet = 0.3

    @pytest.fixture
    async def bus(self, kafka: str) -> AsyncIterator[KafkaBus]:
        """A session longer than any test's patience: what moves on leaving does not move by a timeout."""
        settings = KafkaSettings.load(kafka_servers=kafka, kafka_partitions=4, kafka_session_seconds=60)
        async with open_kafka(settings) as bus:
            yield bus

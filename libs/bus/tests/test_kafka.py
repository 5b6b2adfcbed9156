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
        async with open_kafka(KafkaSettings.load(kafka_servers=kafka, kafka_partitions=4)) as bus:
            yield bus

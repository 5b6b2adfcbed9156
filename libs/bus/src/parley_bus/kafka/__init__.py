"""The event bus on Apache Kafka."""

from __future__ import annotations

from parley_bus.kafka.bus import KafkaBus, open_kafka
from parley_bus.kafka.settings import KafkaSettings

__all__ = ["KafkaBus", "KafkaSettings", "open_kafka"]

"""The event bus on Apache Kafka."""

from __future__ import annotations

from parley_bus.kafka.bus import KafkaBus, open_kafka
from parley_bus.kafka.letters import DeadLetters, Letter, Pile, open_dead_letters
from parley_bus.kafka.settings import KafkaSettings

__all__ = ["DeadLetters", "KafkaBus", "KafkaSettings", "Letter", "Pile", "open_dead_letters", "open_kafka"]

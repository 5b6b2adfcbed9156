"""The four servers of cluster mode."""

from __future__ import annotations

from pathlib import Path

from parley_local.cassandra import Cassandra
from parley_local.kafka import Kafka
from parley_local.mongodb import MongoDB
from parley_local.program import PortOf
from parley_local.redis import Redis


def kafka(folder: Path, port_of: PortOf) -> Kafka:
    return Kafka(folder / "kafka", port_of("kafka"), port_of("kafka-controller"))


def cassandra(folder: Path, port_of: PortOf) -> Cassandra:
    return Cassandra(folder / "cassandra", port_of("cassandra"), port_of("cassandra-storage"))


def mongodb(folder: Path, port_of: PortOf) -> MongoDB:
    return MongoDB(folder / "mongodb", port_of("mongodb"))


def redis(folder: Path, port_of: PortOf) -> Redis:
    return Redis(folder / "redis", port_of("redis"))

"""The real servers, as the fixtures give them: each answers its own client."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from cassandra import OperationTimedOut
from cassandra.cluster import Cluster, Session
from pymongo import MongoClient
from redis.asyncio import Redis

from parley_local import servers
from parley_local.program import NotReady, Server


@pytest.mark.timeout(120)
async def test_kafka_answers(kafka: str) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await client.start()
    try:
        assert len((await client.describe_cluster())["brokers"]) == 1
    finally:
        await client.close()


async def test_redis_answers(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as client:
        assert await client.ping()


@pytest.mark.timeout(120)
def test_mongodb_answers_as_a_primary(mongo_url: str) -> None:
    with MongoClient[dict[str, Any]](mongo_url) as client:
        assert client.admin.command("hello")["isWritablePrimary"]


@pytest.mark.timeout(120)
def test_cassandra_has_the_data_center_that_the_settings_name(cassandra: str) -> None:
    host, _, port = cassandra.partition(":")
    cluster = Cluster([host], port=int(port))
    try:
        row = cluster.connect().execute("SELECT data_center FROM system.local").one()
    finally:
        cluster.shutdown()
    assert row.data_center == "datacenter1"


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says anything, as one that is paused."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("make", [servers.kafka, servers.cassandra, servers.mongodb, servers.redis])
def test_a_server_that_says_nothing_is_not_ready(make: Any, silent: int, tmp_path: Path) -> None:
    server: Server = make(tmp_path, lambda _name: silent)
    began = time.monotonic()
    with pytest.raises(NotReady):
        server.check()
    assert time.monotonic() - began < 15  # promised are about 2


@pytest.mark.timeout(120)
def test_a_cassandra_that_is_too_busy_to_answer_is_not_ready(
    cassandra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def execute(*_arguments: object, **_options: object) -> None:
        raise OperationTimedOut

    monkeypatch.setattr(Session, "execute", execute)
    with pytest.raises(NotReady):
        servers.cassandra(tmp_path, lambda _name: int(cassandra.partition(":")[2])).check()

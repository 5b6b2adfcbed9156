"""The real servers, as the fixtures give them: each answers its own client."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from cassandra.cluster import Cluster
from pymongo import MongoClient
from redis.asyncio import Redis


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

"""What a server acknowledged, it still has after SIGKILL: R1 stands on this."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from cassandra.cluster import Cluster
from pymongo import MongoClient, WriteConcern
from pymongo.errors import PyMongoError

from parley_local import servers
from parley_local.ports import Ports
from parley_local.testing import run_server

pytestmark = pytest.mark.timeout(180)  # two starts of a JVM on a busy machine
TOPIC = "kept"
RECORDS = 200


async def test_kafka_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    with run_server(servers.kafka(tmp_path, Ports()), tmp_path / "log") as kafka:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
        await admin.start()
        await admin.create_topics([NewTopic(TOPIC, num_partitions=1, replication_factor=1)])
        await admin.close()
        producer = AIOKafkaProducer(bootstrap_servers=kafka.address, acks="all", enable_idempotence=True)
        await producer.start()
        for number in range(RECORDS):
            await producer.send_and_wait(TOPIC, b"%d" % number)
        kafka.kill()
        await producer.stop()
        kafka.start()
        assert await read_all(kafka.address) == [b"%d" % number for number in range(RECORDS)]


async def read_all(address: str) -> list[bytes]:
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=address, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partition = TopicPartition(TOPIC, 0)
        end = (await consumer.end_offsets([partition]))[partition]
        async with asyncio.timeout(30):
            return [(await consumer.getone()).value for _ in range(end)]
    finally:
        await consumer.stop()


def test_cassandra_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    with run_server(servers.cassandra(tmp_path, Ports()), tmp_path / "log") as cassandra:
        port = int(cassandra.address.rpartition(":")[2])
        client = Cluster(["127.0.0.1"], port=port)
        session = client.connect()
        session.execute(
            "CREATE KEYSPACE k WITH replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': 1}", timeout=30
        )
        session.execute("CREATE TABLE k.t (id int PRIMARY KEY)", timeout=30)
        for number in range(RECORDS):
            session.execute("INSERT INTO k.t (id) VALUES (%s)", (number,))
        cassandra.kill()
        client.shutdown()
        cassandra.start()
        client = Cluster(["127.0.0.1"], port=port)
        try:
            found = {row.id for row in client.connect().execute("SELECT id FROM k.t", timeout=30)}
        finally:
            client.shutdown()
    assert found == set(range(RECORDS))


def test_mongodb_keeps_what_it_acknowledged_to_writers_at_the_moment_of_the_kill(tmp_path: Path) -> None:
    """With several writers: alone, one hardly ever meets the moment."""
    with run_server(servers.mongodb(tmp_path, Ports()), tmp_path / "log") as mongodb:
        acknowledged: set[str] = set()
        enough = threading.Event()
        with MongoClient[dict[str, Any]](mongodb.address, serverSelectionTimeoutMS=2000, retryWrites=False) as client:
            collection = client.k.get_collection("t", write_concern=WriteConcern("majority"))

            def write(writer: int) -> None:
                for number in range(100_000):
                    try:
                        collection.insert_one({"_id": f"{writer}-{number}"})
                    except PyMongoError:
                        return
                    acknowledged.add(f"{writer}-{number}")
                    if len(acknowledged) >= 5 * RECORDS:
                        enough.set()

            in_threads(write, 4, then=lambda: (enough.wait(60), mongodb.kill()))
        mongodb.start()
        with MongoClient[dict[str, Any]](mongodb.address) as client:
            kept = {document["_id"] for document in client.k.t.find()}
    assert len(acknowledged) >= 5 * RECORDS
    assert acknowledged <= kept


def in_threads(work: Callable[[int], None], count: int, then: Callable[[], object]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    then()
    for thread in threads:
        thread.join()

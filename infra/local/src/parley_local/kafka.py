"""Apache Kafka: one KRaft node, broker and controller at once."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from parley_kit.settings import ConfigError
from parley_local.folders import copy_resource, make_folder, write
from parley_local.jars import jar_set
from parley_local.java import find_java, quick_options
from parley_local.program import NotReady, Program, require_listener

FORMAT_SECONDS = 60
CHECK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Kafka:
    """Topics are made by their owners, never by a typing error. An acknowledged record is in the page cache:
    it survives the death of the process, as three replicas would let it survive that of the machine.
    """

    folder: Path
    port: int
    controller_port: int
    advertised_port: int | None = None

    @property
    def name(self) -> str:
        return "kafka"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def advertised(self) -> str:
        """Where its clients are told to find it."""
        return f"127.0.0.1:{self.advertised_port or self.port}"

    def prepare(self) -> Program:
        java, jars = str(find_java()), jar_set("kafka")
        classes = f"{jars.install()}/*"
        logging = copy_resource("kafka", "log4j2.xml", make_folder(self.folder))
        properties = str(write(self.folder / "server.properties", self.properties()))
        options = ("-Xms128m", "-Xmx512m", *quick_options(jars.archive), f"-Dlog4j2.configurationFile={logging}")
        jvm = (java, *options, "-cp", classes)
        if not (self.folder / "data" / "meta.properties").exists():
            _format([*jvm, "kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", properties])
        return Program(self.name, (*jvm, "kafka.Kafka", properties), self.folder)

    def properties(self) -> str:
        """Its configuration. One node, so every internal topic has one replica; no waiting for more members."""
        lines = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.advertised}",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self.folder / "data",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 10,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            # A static member that was killed comes back within its session; below 6 s the broker refuses a session.
            "group.min.session.timeout.ms": 1000,
            # After a kill, the node is taken back only once its former session has run out.
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
            # What nobody waits for is left out, so that an idle node leaves the cores to others: each thread asks for
            # work three times a second, and each half second without a change of metadata is noted down.
            "num.network.threads": 1,
            "num.io.threads": 2,
            "metadata.max.idle.interval.ms": 5000,
            # The first entry of an index costs a page fault into an empty file, some 3 ms: a partition gets it with
            # its first 64 KiB, and a reader looks through no more than that.
            "log.index.interval.bytes": 64 * 1024,
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        }
        return "".join(f"{name}={value}\n" for name, value in lines.items())

    def check(self) -> None:
        """Asks for the cluster's metadata. In a thread of its own: the caller may live in an event loop."""
        require_listener(self.port)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(_describe_cluster, self.address).result()


def _cluster_id() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "x")


def _format(command: list[str]) -> None:
    try:
        subprocess.run(command, capture_output=True, timeout=FORMAT_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        said = (error.stdout + error.stderr).decode(errors="replace").strip()
        raise ConfigError(f"Kafka's storage could not be formatted:\n{said}") from None
    except subprocess.TimeoutExpired:
        raise ConfigError(f"Kafka's storage was not formatted in {FORMAT_SECONDS} s") from None


def _describe_cluster(address: str) -> None:
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    async def ask() -> None:
        client = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=int(CHECK_SECONDS * 1000))
        try:
            await client.start()
            await client.list_topics()
        finally:
            await client.close()

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(asyncio.wait_for(ask(), CHECK_SECONDS))
    except (KafkaError, OSError, TimeoutError) as error:
        raise NotReady(f"Kafka: {error!r}") from error
    finally:
        loop.close()

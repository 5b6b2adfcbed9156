"""The driver as the chat log wants it: which nodes are asked, how long, and what follows when one is away.

A node that is away is found out within REQUEST_SECONDS and tried again within LONGEST_RECONNECT_SECONDS, for ever.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cassandra import ConsistencyLevel
from cassandra.cluster import (
    EXEC_PROFILE_DEFAULT,
    Cluster,
    ExecutionProfile,
    NoHostAvailable,
    Session,
)
from cassandra.connection import DefaultEndPoint
from cassandra.policies import (
    ConstantSpeculativeExecutionPolicy,
    DCAwareRoundRobinPolicy,
    ExponentialReconnectionPolicy,
    TokenAwarePolicy,
)
from cassandra.query import tuple_factory

from parley_conversation.adapters.cassandra.errors import AWAY
from parley_conversation.adapters.cassandra.retries import RepeatIdempotent
from parley_kit.errors import Unavailable
from parley_kit.settings import ConfigError

READS, WRITES = "reads", "writes"
REQUEST_SECONDS = 1.5
CONNECT_SECONDS = 1.5
HEARTBEAT_SECONDS = 2
FIRST_RECONNECT_SECONDS, LONGEST_RECONNECT_SECONDS = 0.1, 1.5
SECOND_REPLICA_SECONDS = 0.1
DEFAULT_PORT = 9042
READ_BYTES = 2**20
"""Taken from a socket at once. With the driver's 4 KiB a large answer piles up and is copied once for each segment."""
_KEYSPACE = re.compile(r"[a-z][a-z0-9_]{0,47}")


@dataclass(frozen=True, slots=True)
class Target:
    """Where the chat log is kept. Checked when it is made."""

    nodes: Sequence[tuple[str, int]]
    keyspace: str
    datacenter: str
    replication: int

    @classmethod
    def parse(cls, hosts: str, keyspace: str, datacenter: str, replication: int) -> Target:
        """Raises ConfigError naming the setting at fault."""
        if not _KEYSPACE.fullmatch(keyspace):
            raise ConfigError("PARLEY_CASSANDRA_KEYSPACE: at most 48 of a-z, 0-9 and _, a letter first")
        nodes = [_node(each.strip()) for each in hosts.split(",") if each.strip()]
        if not nodes:
            raise ConfigError("PARLEY_CASSANDRA_HOSTS: host:port,... is expected")
        return cls(nodes, keyspace, datacenter, replication)


def _node(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon:
        return text, DEFAULT_PORT
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ConfigError(f"PARLEY_CASSANDRA_HOSTS: {text!r} is not host:port")
    return host.strip("[]"), int(port)


def reactor() -> Any:
    """The libev event loop. The driver would quietly take asyncore instead, which Python is giving up.

    Raises ConfigError when the driver was built without it.
    """
    try:
        from cassandra.io.libevreactor import LibevConnection
    except ImportError as error:
        raise ConfigError(f"cassandra-driver has no libev reactor here; install libev for it: {error}") from None

    class LargeReads(LibevConnection):  # type: ignore[misc] # the driver is untyped
        in_buffer_size = READ_BYTES

    return LargeReads


def connect(target: Target) -> Session:
    """Blocks for seconds at most. Raises Unavailable while no node answers, ConfigError for an unknown datacenter."""
    cluster = _cluster(target)
    try:
        return cluster.connect()
    except BaseException as error:
        cluster.shutdown()
        if not isinstance(error, AWAY):
            raise
        _check_datacenter(cluster, target)
        raise Unavailable(f"no Cassandra node answers: {_reason(error)}") from error


def close(session: Session) -> None:
    """Blocks until every connection is closed and the driver's threads have ended, the reactor's apart."""
    session.cluster.shutdown()


def _cluster(target: Target) -> Cluster:
    """Nothing is connected yet. Names are resolved at each connection, so that a node may move."""
    return Cluster(
        [DefaultEndPoint(host, port) for host, port in target.nodes],
        connection_class=reactor(),
        protocol_version=5,
        execution_profiles={
            EXEC_PROFILE_DEFAULT: _profile(target),
            WRITES: _profile(target),
            READS: _profile(
                target,
                speculative_execution_policy=ConstantSpeculativeExecutionPolicy(SECOND_REPLICA_SECONDS, 1),
            ),
        },
        reconnection_policy=ExponentialReconnectionPolicy(FIRST_RECONNECT_SECONDS, LONGEST_RECONNECT_SECONDS, None),
        connect_timeout=CONNECT_SECONDS,
        control_connection_timeout=CONNECT_SECONDS,
        idle_heartbeat_interval=HEARTBEAT_SECONDS,
        idle_heartbeat_timeout=HEARTBEAT_SECONDS,
        application_name="parley-conversation",
    )


def _profile(target: Target, **others: object) -> ExecutionProfile:
    return ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(target.datacenter)),
        retry_policy=RepeatIdempotent(),
        consistency_level=ConsistencyLevel.LOCAL_QUORUM,
        serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
        request_timeout=REQUEST_SECONDS,
        row_factory=tuple_factory,
        **others,
    )


def _check_datacenter(cluster: Cluster, target: Target) -> None:
    """No node of ours answered; was it because the cluster calls its datacenters otherwise?"""
    known = sorted({host.datacenter for host in cluster.metadata.all_hosts() if host.datacenter})
    if known and target.datacenter not in known:
        raise ConfigError(f"PARLEY_CASSANDRA_DATACENTER: the cluster has {', '.join(known)}")


def _reason(error: Exception) -> str:
    errors = error.errors if isinstance(error, NoHostAvailable) else None
    return "; ".join(f"{node}: {why}" for node, why in errors.items()) if isinstance(errors, dict) else str(error)

"""Which of the driver's errors mean that Cassandra is away for now. The others are bugs, and stay what they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cassandra import OperationTimedOut, RequestExecutionException
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionException
from cassandra.pool import NoConnectionsAvailable
from cassandra.protocol import RequestExecutionException as ServerRefusal
from cassandra.protocol import ServerError

from parley_kit.errors import Unavailable

AWAY = (
    NoHostAvailable,  # no node is up
    NoConnectionsAvailable,
    ConnectionException,  # it broke before the answer
    OperationTimedOut,  # no answer in time
    RequestExecutionException,  # too few replicas, or they did not answer the coordinator in time
    ServerRefusal,  # overloaded, still starting
    ServerError,
)


@contextmanager
def cassandra_errors() -> Iterator[None]:
    """Around each use. Raises Unavailable for what AWAY lists; whether a write took place is then unknown."""
    try:
        yield
    except AWAY as error:
        raise Unavailable(f"Cassandra is away: {type(error).__name__}") from error

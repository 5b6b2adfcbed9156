"""What all tests share: a pytest plugin with one fixture a real server, started when first asked for.

PARLEY_TEST_KAFKA, _REDIS, _MONGO and _CASSANDRA name servers that run already; then none is started. Tests share a
server for the session and keep apart by their own topics, keys, databases and keyspaces. A test that kills servers
starts its own with `run_server`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from parley_local import servers
from parley_local.child import START_SECONDS, ServerProcess, run_server
from parley_local.ports import Ports
from parley_local.program import PortOf, Server

__all__ = ["ServerProcess", "cassandra", "kafka", "mongo_url", "redis_url", "run_server"]

LOOPBACK = "127.0.0.1,localhost,::1"
SERVERS = {"kafka", "redis_url", "mongo_url", "cassandra"}
TEST_SECONDS = 60.0


def pytest_configure() -> None:
    """Clients of the tests talk to this machine alone: no proxy of the environment is asked for it. And an example
    of a property may take its time, as any test: on a busy machine 200 ms are nothing."""
    settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("untimed")
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ["no_proxy"] = f"{given},{LOOPBACK}" if given else LOOPBACK


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whichever test asks for a server first waits for its start, which is given time of its own."""
    for item in items:
        asked = isinstance(item, pytest.Function) and SERVERS & set(item.fixturenames)
        if asked and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(START_SECONDS + TEST_SECONDS))


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of Kafka."""
    with _served("PARLEY_TEST_KAFKA", servers.kafka, tmp_path_factory) as address:
        yield address


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """redis://host:port/0."""
    with _served("PARLEY_TEST_REDIS", servers.redis, tmp_path_factory) as address:
        yield address


@pytest.fixture(scope="session")
def mongo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """mongodb://host:port."""
    with _served("PARLEY_TEST_MONGO", servers.mongodb, tmp_path_factory) as address:
        yield address


@pytest.fixture(scope="session")
def cassandra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of Cassandra."""
    with _served("PARLEY_TEST_CASSANDRA", servers.cassandra, tmp_path_factory) as address:
        yield address


@contextmanager
def _served(variable: str, make: Callable[[Path, PortOf], Server], folders: pytest.TempPathFactory) -> Iterator[str]:
    if given := os.environ.get(variable):
        yield given
        return
    folder = folders.mktemp("server")
    server = make(folder, Ports())
    with run_server(server, folder / f"{server.name}.log") as process:
        yield process.address

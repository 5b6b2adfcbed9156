"""What a run is played on: a cluster of its own, each of whose links leads through a proxy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from support.cluster import Cluster, start_cluster

from chaos.proxy import Proxy, open_proxy

LINKS = ("auth-1", "conversation-1", "kafka", "cassandra", "mongodb", "redis")
LEASE_SECONDS = 3.0
PAUSE_SECONDS = (LEASE_SECONDS + 1.0, LEASE_SECONDS + 6.0)
"""Longer than a lease: a paused worker wakes as one that was given up."""
DEADLINE_SECONDS = 120.0
SETTINGS = {
    "PARLEY_WORKER_BACKEND": "scripted",
    "PARLEY_SCRIPTED_INTERVAL_MS": "20",
    "PARLEY_LEASE_SECONDS": str(LEASE_SECONDS),
    "PARLEY_GENERATION_SECONDS": str(DEADLINE_SECONDS),
    "PARLEY_KAFKA_PARTITIONS": "4",
}


@dataclass(frozen=True)
class Stage:
    """links: the proxy in front of each server and service that others are clients of."""

    cluster: Cluster
    links: Mapping[str, Proxy]

    @property
    def redis_url(self) -> str:
        """Redis itself, past its proxy."""
        return f"redis://127.0.0.1:{self.cluster.port_of('redis')}/0"


@asynccontextmanager
async def open_stage(data_dir: Path) -> AsyncIterator[Stage]:
    """Two gateways and two workers with the scripted backend, ready."""
    async with AsyncExitStack() as stack:
        links = {name: await stack.enter_async_context(open_proxy(_port(data_dir, name))) for name in LINKS}
        routes = json.dumps({name: proxy.port for name, proxy in links.items()})
        starting = start_cluster(data_dir, settings={**SETTINGS, "PARLEY_CLUSTER_ROUTES": routes})
        cluster = await asyncio.to_thread(starting.__enter__)
        try:
            yield Stage(cluster, links)
        finally:
            for proxy in links.values():
                proxy.heal()
            await asyncio.to_thread(starting.__exit__, None, None, None)


def _port(data_dir: Path, name: str) -> Callable[[], int]:
    """The cluster chooses its ports when it starts: asked for at each connection. Raises OSError before."""

    def port() -> int:
        return int(json.loads((data_dir / "run" / "ports.json").read_text())[name])

    return port

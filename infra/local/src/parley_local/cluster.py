"""A cluster: which programs there are, in which order they stop, and with which settings they find each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from parley_kit.settings import ConfigError
from parley_local import servers
from parley_local.layout import Layout
from parley_local.mongodb import MongoDB
from parley_local.ports import Ports, require_free
from parley_local.program import Server
from parley_local.services import Service, Services
from parley_local.settings import ClusterSettings
from parley_local.supervisor import Group


@dataclass(frozen=True, slots=True)
class Cluster:
    """Everything that `make cluster` runs, by group, in the order of the start."""

    layout: Layout
    servers: Sequence[Server]
    auth: Service
    conversation: Service
    workers: Sequence[Service]
    gateways: Sequence[Service]

    @property
    def services(self) -> list[Service]:
        return [self.auth, self.conversation, *self.workers, *self.gateways]

    @property
    def mongodb_title(self) -> str:
        """Which MongoDB server this machine runs."""
        return next(server.title for server in self.servers if isinstance(server, MongoDB))

    def prepare(self) -> list[Group]:
        """Write what the servers need, and say what is to run. Raises ConfigError when something is missing.

        Gateways and workers stop first, and together: neither needs the other to end well.
        """
        return [
            Group("servers", [server.prepare() for server in self.servers]),
            Group("auth", [self.auth.program()]),
            Group("conversation", [self.conversation.program()]),
            Group("edge", [service.program() for service in (*self.workers, *self.gateways)]),
        ]


def plan(settings: ClusterSettings, gateways: int, workers: int) -> Cluster:
    """The cluster of a data folder. Raises ConfigError when a gateway's port is taken."""
    layout = Layout(settings.data_dir.resolve())
    ports = Ports(layout.run / "ports.json")
    ports.renew_taken()
    gateway_ports = range(settings.gateway_port, settings.gateway_port + gateways)
    for number, port in enumerate(gateway_ports, 1):
        require_free(port, f"gateway-{number}", settings.gateway_host)
    cassandra = servers.cassandra(layout.data_dir, ports)
    mongodb = servers.mongodb(layout.data_dir, ports)
    redis = servers.redis(layout.data_dir, ports)
    routes = settings.cluster_routes
    kafka = replace(servers.kafka(layout.data_dir, ports), advertised_port=routes.get("kafka"))
    token = settings.service_token.get_secret_value() if settings.service_token else layout.service_token()
    shared = {
        "PARLEY_DATA_DIR": str(layout.data_dir),
        "PARLEY_SERVICE_TOKEN": token,
        "PARLEY_KAFKA_SERVERS": kafka.advertised,
        "PARLEY_CASSANDRA_HOSTS": replace(cassandra, port=routes.get("cassandra", cassandra.port)).address,
        "PARLEY_MONGO_URL": replace(mongodb, port=routes.get("mongodb", mongodb.port)).address,
        "PARLEY_REDIS_URLS": replace(redis, port=routes.get("redis", redis.port)).address,
        "PARLEY_AUTH_ADDRESS": f"127.0.0.1:{routes.get('auth-1', ports('auth-1'))}",
        "PARLEY_CONVERSATION_ADDRESS": f"127.0.0.1:{routes.get('conversation-1', ports('conversation-1'))}",
    }
    make = Services(shared, ports)
    return Cluster(
        layout,
        [kafka, cassandra, mongodb, redis],
        make.auth(),
        make.conversation(),
        [make.worker(number) for number in range(1, workers + 1)],
        [make.gateway(number, port, settings.gateway_host) for number, port in enumerate(gateway_ports, 1)],
    )


def refuse_second(layout: Layout, found: set[int]) -> None:
    """Raises ConfigError while processes of the data folder's cluster live."""
    if found:
        raise ConfigError(
            f"a cluster runs on {layout.data_dir} already (process {min(found)}); make cluster-down ends it"
        )

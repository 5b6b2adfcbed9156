"""Parley's own services as programs, each with the settings that tell it where the others are."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from parley_local.program import NotReady, PortOf, Program

CHECK_SECONDS = 2.5
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy of the environment is for elsewhere


@dataclass(frozen=True, slots=True)
class Service:
    """One process of a service. `health_port` answers /readyz."""

    name: str
    module: str
    health_port: int
    environment: Mapping[str, str]
    stop_seconds: int
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        """Where it is asked for its health: where it listens, or on loopback when that is everywhere."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - as an operator may set it
        return f"http://[{host}]:{self.health_port}" if ":" in host else f"http://{host}:{self.health_port}"

    def program(self) -> Program:
        """How it is started: where `up` was, so that relative paths in its environment mean what they meant there."""
        command = (sys.executable, "-P", "-m", self.module)  # -P: a module there is not taken for a package's
        return Program(self.name, command, Path.cwd(), self.environment, self.stop_seconds)

    def check(self) -> None:
        """Raises NotReady unless /readyz says 200."""
        try:
            with DIRECT.open(f"{self.url}/readyz", timeout=CHECK_SECONDS):
                return
        except urllib.error.HTTPError as error:
            raise NotReady(error.read().decode(errors="replace")) from error
        except OSError as error:
            raise NotReady(str(error)) from error


@dataclass(frozen=True, slots=True)
class Services:
    """Makes the services of one cluster. `shared`: the settings that all of them get."""

    shared: Mapping[str, str]
    port_of: PortOf

    def auth(self) -> Service:
        own = {"PARLEY_AUTH_HOST": "127.0.0.1", "PARLEY_AUTH_PORT": str(self.port_of("auth-1"))}
        return self._with_health("auth-1", "parley_auth", own, stop_seconds=4)

    def conversation(self) -> Service:
        own = {
            "PARLEY_CONVERSATION_HOST": "127.0.0.1",
            "PARLEY_CONVERSATION_PORT": str(self.port_of("conversation-1")),
        }
        return self._with_health("conversation-1", "parley_conversation", own, stop_seconds=6)

    def worker(self, number: int) -> Service:
        """Drains within 5 s: it hands its generations back."""
        return self._with_health(f"worker-{number}", "parley_worker", {}, stop_seconds=8)

    def gateway(self, number: int, port: int, host: str) -> Service:
        """Answers for its health on the port that it serves."""
        own = {"PARLEY_GATEWAY_PORT": str(port)}
        return replace(self._service(f"gateway-{number}", "parley_gateway", port, own, stop_seconds=8), host=host)

    def _with_health(self, name: str, module: str, own: Mapping[str, str], stop_seconds: int) -> Service:
        port = self.port_of(f"{name}-health")
        health = {"PARLEY_HEALTH_HOST": "127.0.0.1", "PARLEY_HEALTH_PORT": str(port)}
        return self._service(name, module, port, {**own, **health}, stop_seconds)

    def _service(self, name: str, module: str, port: int, own: Mapping[str, str], stop_seconds: int) -> Service:
        # The name is its own and survives a restart: Kafka gives a consumer that comes back its partitions back.
        environment = {**self.shared, "PARLEY_CLIENT_NAME": name, **own}
        return Service(name, module, port, environment, stop_seconds)

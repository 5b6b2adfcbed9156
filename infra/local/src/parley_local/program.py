"""What infra/local runs: programs, and the servers among them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

PortOf = Callable[[str], int]
"""The port that belongs to a name, the same at each call."""


@dataclass(frozen=True, slots=True)
class Program:
    """One process. `environment` comes on top of what is inherited; `folder` is where it runs.

    `stop_seconds`: how long it may take after SIGTERM before SIGKILL.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_seconds: int = 8


class NotReady(Exception):
    """The server does not answer yet; the message says what it said."""


class Server(Protocol):
    """A server that Parley's services are clients of, on loopback, with a folder of its own."""

    @property
    def name(self) -> str:
        """As in its pid file."""
        ...

    @property
    def address(self) -> str:
        """What clients connect to: host:port or a URL."""
        ...

    def prepare(self) -> Program:
        """Write its folder and configuration; data that is there stays. Raises ConfigError when it cannot be run."""
        ...

    def check(self) -> None:
        """One real call as a client, within about 2 s. Raises NotReady."""
        ...


def require_listener(port: int) -> None:
    """Raises NotReady while nobody listens on the port: far cheaper to learn than by a client of its own."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError as error:
        raise NotReady(f"port {port}: {error.strerror or error}") from None

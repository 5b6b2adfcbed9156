"""Ports on loopback: chosen free once, and kept, so that what restarts keeps its address."""

from __future__ import annotations

import errno
import json
import random
import socket
from pathlib import Path

from parley_kit.settings import ConfigError
from parley_local.folders import write

# Below the range from which Linux takes the near ends of outgoing connections: while a server is down,
# no client's connection may sit on its port.
RANGE = range(20_000, 32_000)


class Ports:
    """Gives each name its port. Given a file, it remembers there what it gave."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._chosen: dict[str, int] = json.loads(file.read_text()) if file is not None and file.exists() else {}

    def __call__(self, name: str) -> int:
        """The port of `name`: the one it had, else a free one. Says nothing about its being free still."""
        if name not in self._chosen:
            self._chosen[name] = self._free_one()
            self._save()
        return self._chosen[name]

    def renew_taken(self) -> None:
        """Choose anew for those whose port somebody else listens on now. Only while none of ours runs."""
        for name in [name for name, port in self._chosen.items() if not is_free(port)]:
            del self._chosen[name]

    def _free_one(self) -> int:
        while (port := random.choice(RANGE)) in self._chosen.values() or not is_free(port):
            pass
        return port

    def _save(self) -> None:
        if self._file is not None:
            write(self._file, json.dumps(self._chosen, indent=2) + "\n")


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    return _refusal(port, host) is None


def require_free(port: int, what: str, host: str) -> None:
    """Raises ConfigError, naming `what` should listen there, when it could not."""
    refusal = _refusal(port, host)
    if refusal is None:
        return
    if refusal.errno == errno.EADDRINUSE:
        raise ConfigError(f"{what}: port {port} is in use by another program")
    raise ConfigError(f"{what}: cannot listen on {host}:{port}: {refusal.strerror}")


def _refusal(port: int, host: str) -> OSError | None:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return error
    return None

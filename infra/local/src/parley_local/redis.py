"""Redis, from the system's packages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from parley_local.folders import make_folder
from parley_local.java import find_command
from parley_local.program import NotReady, Program, require_listener

CHECK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Redis:
    """Nothing is written to disk: Redis holds only what Parley may lose, and a restart has to show that."""

    folder: Path
    port: int

    @property
    def name(self) -> str:
        return "redis"

    @property
    def address(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def prepare(self) -> Program:
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(make_folder(self.folder)),
            "save": "",
            "appendonly": "no",
            # Its title would take the place of its environment, by which a cluster knows its processes.
            "set-proc-title": "no",
        }
        flags = (part for name, value in options.items() for part in (f"--{name}", value))
        return Program(self.name, (str(find_command("redis-server", "Redis")), *flags), self.folder)

    def check(self) -> None:
        """PING."""
        require_listener(self.port)
        from redis import Redis as Client
        from redis import RedisError
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        with Client(
            port=self.port,
            socket_connect_timeout=CHECK_SECONDS,
            socket_timeout=CHECK_SECONDS,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            try:
                client.ping()
            except RedisError as error:
                raise NotReady(f"Redis: {error}") from error

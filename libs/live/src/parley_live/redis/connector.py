"""Connections to one Redis server, which need not be there yet."""

from __future__ import annotations

from typing import Any

from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

AWAY = (RedisError, OSError, TimeoutError)
"""What a server that is away, or refuses to serve, raises."""


class Connector:
    """Opens connections to the server of `url`. Raises ValueError for what is no Redis URL, TypeError for an option
    in it that no connection has."""

    def __init__(self, url: str) -> None:
        options: dict[str, Any] = dict(parse_url(url))
        self._class: type[AbstractConnection] = options.pop("connection_class", Connection)
        where = options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
        self.name = f"{where}/{options.get('db', 0)}"  # never the password
        # Timeouts and retries are those of the callers, who know what their commands are worth.
        self._options = options | {
            "protocol": 2,
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": None,
            "socket_connect_timeout": None,
            "health_check_interval": 0,
            "client_name": "parley",
        }
        self._class(**self._options)  # connects nothing, but knows which options there are

    async def connect(self) -> AbstractConnection:
        """A connection that has been greeted. Raises one of AWAY; leaves nothing open when it does."""
        connection = self._class(**self._options)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

"""Revocations."""

from __future__ import annotations

from math import ceil

from parley_live.redis import scripts
from parley_live.redis.servers import Servers


class RedisRevocations:
    """While a server is away, nobody can say of its share what is revoked: that is Unavailable, never no."""

    def __init__(self, servers: Servers, prefix: str) -> None:
        self._servers = servers
        self._prefix = prefix

    async def revoke(self, token_id: str, seconds: float) -> None:
        if seconds > 0:
            commands = self._servers.of(token_id).commands
            await commands.evaluate(scripts.REVOKE, self._key(token_id), ceil(seconds * 1000))

    async def is_revoked(self, token_id: str) -> bool:
        reply: int = await self._servers.of(token_id).commands.execute("is_revoked", "EXISTS", self._key(token_id))
        return reply > 0

    def _key(self, token_id: str) -> str:
        return f"{self._prefix}revoked:{token_id}"

"""Rate limits, on the server's clock."""

from __future__ import annotations

from parley_live.base import Rate
from parley_live.gcra import MICROSECONDS, check
from parley_live.redis import scripts
from parley_live.redis.servers import Servers


class RedisRateLimits:
    """A bucket that is full again is one that is not there."""

    def __init__(self, servers: Servers, prefix: str) -> None:
        self._servers = servers
        self._prefix = prefix

    async def take(self, key: str, rate: Rate, cost: int = 1) -> float:
        """After Unavailable it is open whether `cost` was taken."""
        check(rate, cost)
        bucket = f"{self._prefix}limit:{rate.limit}/{rate.seconds}:{key}"
        price = round(rate.seconds * MICROSECONDS)
        wait: int = await self._servers.of(key).commands.evaluate(scripts.TAKE, bucket, rate.limit, price, cost)
        return wait / MICROSECONDS

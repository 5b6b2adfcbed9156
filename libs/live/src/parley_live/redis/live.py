"""RedisLive: all the hot state as one object."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parley_live.redis.cancels import RedisCancelSignals
from parley_live.redis.limits import RedisRateLimits
from parley_live.redis.revocations import RedisRevocations
from parley_live.redis.servers import Servers
from parley_live.redis.settings import RedisSettings
from parley_live.redis.streams import RedisTokenStreams


class RedisLive(RedisTokenStreams, RedisCancelSignals, RedisRateLimits, RedisRevocations):
    """The hot state on one Redis server or several, for one event loop.

    Every method raises Unavailable within 2 s while its server is away, and works again by itself once it is back.
    A process has three connections to each server, however many streams it reads and writes.
    """

    def __init__(self, servers: Servers, prefix: str, retention: float, lifetime: float) -> None:
        RedisTokenStreams.__init__(self, servers, prefix, retention, lifetime)
        RedisCancelSignals.__init__(self, servers, prefix)
        RedisRateLimits.__init__(self, servers, prefix)
        RedisRevocations.__init__(self, servers, prefix)

    async def check(self) -> None:
        """For readiness. Raises Unavailable, naming Redis, when no server answers: one away is not the end."""
        pings = (server.commands.execute("ping", "PING") for server in self._servers.all)
        outcomes = await asyncio.gather(*pings, return_exceptions=True)
        errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if len(errors) == len(outcomes):
            raise errors[0]


@asynccontextmanager
async def open_redis(settings: RedisSettings, *, prefix: str = "") -> AsyncIterator[RedisLive]:
    """The hot state, until the end of the block. The servers need not be there yet. prefix: before every key."""
    servers = Servers(settings.redis_urls)
    async with servers.running():
        yield RedisLive(servers, prefix, settings.live_retention_seconds, settings.live_lifetime_seconds)

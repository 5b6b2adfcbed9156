"""The servers among which the hot state is spread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b

from parley_kit.logs import get_logger
from parley_live.redis.commands import Commands
from parley_live.redis.connector import Connector
from parley_live.redis.feed import Feed
from parley_live.redis.watches import Watches

log = get_logger(__name__)

RESTART_SECONDS = 0.5


class Server:
    """One Redis server: commands to it, and what it pushes."""

    def __init__(self, url: str) -> None:
        connector = Connector(url)
        self.name = connector.name
        self.commands = Commands(connector)
        self.feed = Feed(connector)
        self.watches = Watches(self.feed)

    async def run(self) -> None:
        """Its parts, begun again should one break."""
        while True:
            try:
                async with asyncio.TaskGroup() as tasks:
                    for work in (self.commands.run(), self.feed.run(), self.watches.run()):
                        tasks.create_task(work, name=f"redis {self.name}")
            except* Exception:
                log.exception("live_redis_failed", server=self.name)
            await asyncio.sleep(RESTART_SECONDS)


class Servers:
    """Each key has one server, by rendezvous hashing: who joins or leaves moves only its own share."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.all = tuple(Server(url) for url in urls)

    def of(self, key: str) -> Server:
        if len(self.all) == 1:
            return self.all[0]
        return max(
            self.all,
            key=lambda server: blake2b(f"{server.name} {key}".encode(errors="replace"), digest_size=8).digest(),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connected, and connected again, until the end of the block."""
        tasks = [asyncio.create_task(server.run(), name=f"redis {server.name}") for server in self.all]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

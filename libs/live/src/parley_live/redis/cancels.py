"""Cancel signals: published on every server and heard on every server, so that any one is enough."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

from parley_kit.errors import Unavailable
from parley_live.listeners import Listeners
from parley_live.redis.commands import PATIENCE_SECONDS
from parley_live.redis.servers import Servers

REMEMBERED = 10_000


class RedisCancelSignals:
    def __init__(self, servers: Servers, prefix: str) -> None:
        self._servers = servers
        self._channel = f"{prefix}gen:cancels".encode()
        self._listeners = Listeners()
        self._heard: dict[bytes, None] = {}
        self._ears: Sequence[_Ear] = ()

    async def cancel(self, generation_id: str) -> None:
        """Raises Unavailable when no server took it."""
        message = f"{uuid4().hex} {generation_id}"
        outcomes = await asyncio.gather(
            *(server.commands.execute("cancel", "PUBLISH", self._channel, message) for server in self._servers.all),
            return_exceptions=True,
        )
        errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if len(errors) == len(outcomes):
            raise errors[0]

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[AsyncIterator[str]]:
        """Raises Unavailable when no server answers. Once entered, lost connections are restored by themselves."""
        if not self._ears:
            self._ears = [_Ear(self) for _ in self._servers.all]
            for server, ear in zip(self._servers.all, self._ears, strict=True):
                server.feed.subscribe(self._channel, ear)
        with self._listeners.listening() as listener:
            await self._joined()
            yield listener

    async def _joined(self) -> None:
        """Until every server that answers is heard."""
        await asyncio.gather(*(ear.settled() for ear in self._ears))
        if not any(ear.hears for ear in self._ears):
            raise next((ear.error for ear in self._ears if ear.error), Unavailable("Redis is away"))

    def hear(self, message: bytes) -> None:
        """The same signal comes from every server; it counts once."""
        if message in self._heard:
            return
        self._heard[message] = None
        if len(self._heard) > REMEMBERED:
            del self._heard[next(iter(self._heard))]
        self._listeners.hear(message.split(b" ", 1)[1].decode())


class _Ear:
    """At one server."""

    def __init__(self, signals: RedisCancelSignals) -> None:
        self._signals = signals
        self._settled = asyncio.Event()
        self.hears = False
        self.error: Unavailable | None = None

    async def settled(self) -> None:
        """Until the server is heard, or said to be away."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._settled.wait()
        except TimeoutError:
            self.error = Unavailable("Redis is away: no answer to a subscription")

    def joined(self) -> None:
        self.hears, self.error = True, None
        self._settled.set()

    def heard(self, message: bytes) -> None:
        self._signals.hear(message)

    def left(self, error: Unavailable | None) -> None:
        self.hears, self.error = False, error
        if error is None:
            self._settled.clear()
        else:
            self._settled.set()

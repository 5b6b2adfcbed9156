"""Contract: cancel signals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from parley_live.base import Live
from parley_live.testing.harness import LiveHarness


class CancelsContract(LiveHarness):
    async def test_every_listener_hears(self, live: Live) -> None:
        """All who listen get every id, in order."""
        async with live.listen() as one, live.listen() as other:
            for generation in ("a", "b", "c"):
                await live.cancel(generation)
            for listener in (one, other):
                assert [await self._next(listener) for _ in range(3)] == ["a", "b", "c"]

    async def test_a_waiting_listener_is_woken(self, live: Live) -> None:
        """A signal reaches a listener that already waits."""
        async with live.listen() as listener:
            waiting = asyncio.create_task(self._next(listener))
            await asyncio.sleep(self.quiet)
            await live.cancel("a")
            assert await waiting == "a"

    async def test_listening_begins_at_entering(self, live: Live) -> None:
        """What was signalled before is missed; with nobody listening, cancel is no error."""
        await live.cancel("before")
        async with live.listen() as listener:
            await live.cancel("after")
            assert await self._next(listener) == "after"

    async def test_leaving_ends_the_listening(self, live: Live) -> None:
        """Whoever still waits when the context is left comes to the end of the iteration."""
        heard: asyncio.Queue[str] = asyncio.Queue()
        async with live.listen() as listener, asyncio.timeout(self.patience):
            waiting = asyncio.create_task(self._all(listener, heard))
            await live.cancel("a")
            assert await heard.get() == "a"
        async with asyncio.timeout(self.patience):
            await waiting
        assert heard.empty()

    async def _next(self, listener: AsyncIterator[str]) -> str:
        async with asyncio.timeout(self.patience):
            return await anext(listener)

    async def _all(self, listener: AsyncIterator[str], heard: asyncio.Queue[str]) -> None:
        async for generation in listener:
            heard.put_nowait(generation)

"""Waiting for a condition without polling."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Wakeup:
    """`notify` may be called from anywhere, also from the cleanup of a cancelled task."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        self._event.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds, looking after each `notify`. For one waiter. Raises TimeoutError after 10 s."""
        async with asyncio.timeout(10.0):
            while not condition():
                self._event.clear()
                await self._event.wait()

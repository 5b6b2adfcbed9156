"""Waiting for a condition without polling."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PATIENCE_SECONDS = 40.0
"""In which what must come comes, on a busy machine and over real servers too."""


class Wakeup:
    """`notify` may be called from anywhere, also from the cleanup of a cancelled task."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        self._event.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds, looking after each `notify`. For one waiter. Raises TimeoutError in the end."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                self._event.clear()
                await self._event.wait()

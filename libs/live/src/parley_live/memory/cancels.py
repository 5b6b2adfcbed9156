"""Cancel signals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parley_live.listeners import Listeners


class MemoryCancelSignals:
    def __init__(self) -> None:
        self._listeners = Listeners()

    async def cancel(self, generation_id: str) -> None:
        self._listeners.hear(generation_id)

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[AsyncIterator[str]]:
        with self._listeners.listening() as listener:
            yield listener

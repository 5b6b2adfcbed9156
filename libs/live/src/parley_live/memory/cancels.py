"""Cancel signals."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

BACKLOG = 10_000
"""Signals that a listener may leave unread; then it misses the oldest, as it may miss any."""


class _Listener:
    def __init__(self) -> None:
        self._ids: deque[str] = deque(maxlen=BACKLOG)
        self._wake = asyncio.Event()
        self._closed = False

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        while not self._ids:
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._ids.popleft()

    def hear(self, generation_id: str) -> None:
        self._ids.append(generation_id)
        self._wake.set()

    def close(self) -> None:
        self._closed = True
        self._wake.set()


class MemoryCancelSignals:
    def __init__(self) -> None:
        self._listeners: set[_Listener] = set()

    async def cancel(self, generation_id: str) -> None:
        for listener in self._listeners:
            listener.hear(generation_id)

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[AsyncIterator[str]]:
        listener = _Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.remove(listener)
            listener.close()

"""Whoever listens for cancel signals inside this process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

BACKLOG = 10_000
"""Signals that a listener may leave unread; then it misses the oldest, as it may miss any."""


class Listener:
    """The signals as an iteration, which ends once the listener is closed."""

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


class Listeners:
    """All who listen."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    def __len__(self) -> int:
        return len(self._listeners)

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.remove(listener)
            listener.close()

    def hear(self, generation_id: str) -> None:
        for listener in self._listeners:
            listener.hear(generation_id)

"""Waiting for something to happen to one key, without polling."""

from __future__ import annotations

import asyncio


class Wakeups:
    """Look, then `wait`, with no await in between: then no `notify` can be missed."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        """How many keys somebody waits for."""
        return len(self._waiting)

    async def wait(self, key: str) -> None:
        """Until the next `notify(key)`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(key, set())
        waiting.add(future)
        try:
            await future
        finally:
            waiting.discard(future)
            if not waiting and self._waiting.get(key) is waiting:
                del self._waiting[key]

    def notify(self, key: str) -> None:
        for future in self._waiting.pop(key, ()):
            if not future.done():
                future.set_result(None)

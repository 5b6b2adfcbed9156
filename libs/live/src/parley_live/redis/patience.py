"""How long whoever asks waits for a reply: one timer for all, as one for each would cost more than the asking."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any


class Patience:
    """Gives futures up `seconds` after they were added, with a TimeoutError as their result. For one event loop."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def limit(self, reply: asyncio.Future[Any]) -> None:
        """From now on the time of `reply` runs, unless it is done before."""
        loop = reply.get_loop()
        give_up = loop.time() + self._seconds
        while self._waiting and self._waiting[0][1].done():  # so that no long reply is kept until the timer's turn
            self._waiting.popleft()
        self._waiting.append((give_up, reply))
        if self._timer is None:
            self._timer = loop.call_at(give_up, self._look)

    def _look(self) -> None:
        self._timer = None
        while self._waiting:
            give_up, reply = self._waiting[0]
            if not reply.done():
                loop = reply.get_loop()
                if give_up > loop.time():
                    self._timer = loop.call_at(give_up, self._look)
                    return
                reply.set_result(TimeoutError())
            self._waiting.popleft()

"""What this process knows of the streams that it reads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from parley_kit.errors import Unavailable
from parley_live.base import Entry
from parley_live.redis import metrics
from parley_live.redis.codec import pushed
from parley_live.redis.commands import PATIENCE_SECONDS
from parley_live.redis.feed import Feed
from parley_live.redis.tail import Tail

LINGER_SECONDS = 3.0
"""How long a stream is followed after its last reader has left, who mostly comes back at once."""


class Watch:
    """One stream, followed on the feed. Its `version` grows with everything that may concern a reader."""

    def __init__(self) -> None:
        self.readers = 0
        self.left_at = 0.0
        self.version = 0
        self.tail = Tail()
        self.asked: dict[object, asyncio.Task[Sequence[Entry]]] = {}
        self._joined = False
        self._error: Unavailable | None = None
        self._waiting: set[asyncio.Future[None]] = set()

    def joined(self) -> None:
        self._joined, self._error = True, None
        self._wake()

    def heard(self, message: bytes) -> None:
        first, values = pushed(message)
        metrics.PUSHED.inc(len(values))
        self.tail.push(first, values)
        self._wake()

    def left(self, error: Unavailable | None) -> None:
        self._joined, self._error = False, error
        self.tail.clear()
        self._wake()

    def answered(self, question: object, task: asyncio.Task[Sequence[Entry]]) -> None:
        del self.asked[question]
        if not task.cancelled():
            task.exception()  # seen, also when all who asked have left

    async def until_joined(self) -> None:
        """Raises Unavailable within 2 s."""
        if self._joined:
            return
        give_up = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while not self._joined:
            if self._error is not None:
                raise Unavailable(self._error.message)
            if not await self.changed(give_up):
                raise Unavailable("Redis is away: no answer to a subscription")

    async def changed(self, give_up: float) -> bool:
        """Until the next version; False when it has not come by `give_up`, in the loop's time."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            async with asyncio.timeout_at(give_up):
                await future
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(future)
        return True

    def _wake(self) -> None:
        self.version += 1
        metrics.WAKEUPS.inc(len(self._waiting))
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()


class Watches:
    """The streams of one server that somebody reads, or has just read. `run` forgets the others."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._watches: dict[bytes, Watch] = {}

    def __len__(self) -> int:
        return len(self._watches)

    @contextmanager
    def watching(self, stream: bytes) -> Iterator[Watch]:
        watch = self._watches.get(stream)
        if watch is None:
            watch = self._watches[stream] = Watch()
            self._feed.subscribe(stream, watch)
        watch.readers += 1
        try:
            yield watch
        finally:
            watch.readers -= 1
            watch.left_at = asyncio.get_running_loop().time()

    async def run(self) -> None:
        try:
            while True:
                await asyncio.sleep(LINGER_SECONDS / 2)
                self._forget(asyncio.get_running_loop().time() - LINGER_SECONDS)
        finally:
            for task in [task for watch in self._watches.values() for task in watch.asked.values()]:
                task.cancel()

    def _forget(self, left_before: float) -> None:
        for stream, watch in list(self._watches.items()):
            if not watch.readers and watch.left_at < left_before:
                del self._watches[stream]
                self._feed.unsubscribe(stream)

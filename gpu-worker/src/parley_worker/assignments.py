"""The generations that this worker has in hand, each from the arrival of its request until it is done with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from enum import Enum

from parley_worker.ports import Lease


class Stop(Enum):
    """Why work on a generation ends before the answer does."""

    CANCELLED = "cancelled"
    """A user stopped it: what was generated is the answer."""
    LOST = "lost"
    """The lease is no longer ours: write nothing more."""
    HANDED_BACK = "handed_back"
    """Another worker goes on with it, or this one later."""


class Assignment:
    """One generation in hand. It can be told to stop at any moment, also before it has a lease."""

    def __init__(self, generation_id: str) -> None:
        self.generation_id = generation_id
        self.lease: Lease | None = None
        self._stop: asyncio.Future[Stop] = asyncio.get_running_loop().create_future()

    @property
    def stopping(self) -> Stop | None:
        return self._stop.result() if self._stop.done() else None

    def stop(self, why: Stop) -> None:
        """The first reason stays."""
        if not self._stop.done():
            self._stop.set_result(why)

    async def stopped(self) -> Stop:
        return await asyncio.shield(self._stop)

    def renew(self, asked_at: float) -> None:
        """The lease was renewed by a call that began at `asked_at`."""
        if self.lease is not None:
            self.lease = replace(self.lease, expires_at=asked_at + self.lease.seconds)

    def holds(self, now: float) -> bool:
        """Whether the lease is still ours as far as this process can know."""
        return self.lease is not None and now < self.lease.expires_at


class Assignments:
    """At most one assignment for each generation."""

    def __init__(self) -> None:
        self._held: dict[str, Assignment] = {}
        self._gone = asyncio.Condition()
        self._closing: Stop | None = None

    @asynccontextmanager
    async def take(self, generation_id: str) -> AsyncIterator[Assignment | None]:
        """In hand for the block. None: it is in hand already and goes on, so that this request adds nothing.

        Waits for one that is about to end: its generation may have been queued again since.
        """
        async with self._gone:
            await self._gone.wait_for(lambda: self._settled(generation_id))
            assignment = None if generation_id in self._held else Assignment(generation_id)
            if assignment is not None:
                self._held[generation_id] = assignment
                if self._closing is not None:
                    assignment.stop(self._closing)
        try:
            yield assignment
        finally:
            if assignment is not None:
                del self._held[generation_id]
                async with self._gone:
                    self._gone.notify_all()

    def leased(self) -> Sequence[Assignment]:
        return [assignment for assignment in self._held.values() if assignment.lease is not None]

    def stop(self, generation_id: str, why: Stop) -> None:
        """Harmless for what is not in hand."""
        if (assignment := self._held.get(generation_id)) is not None:
            assignment.stop(why)

    def stop_all(self, why: Stop) -> None:
        """Stop what is in hand, and whatever is taken from now on."""
        self._closing = why
        for assignment in self._held.values():
            assignment.stop(why)

    def _settled(self, generation_id: str) -> bool:
        held = self._held.get(generation_id)
        return held is None or held.stopping is None

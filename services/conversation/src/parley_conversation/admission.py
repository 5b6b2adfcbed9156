"""How many answers may be in the making at once: a fast typed refusal instead of a silent queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from parley_conversation import metrics
from parley_conversation.ports import Generations
from parley_kit.errors import Overloaded, RateLimited, Retryable, Unavailable

RETRY_AFTER = 2.0


class _Line:
    """One user's sends. `failures`: of how many a store was away."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.failures = 0


class Admission:
    """Exact for each user within one process; everybody's limit may be passed by the few that are admitted at once."""

    def __init__(self, generations: Generations, most: int, most_per_user: int) -> None:
        self._generations = generations
        self._most = most
        self._most_per_user = most_per_user
        self._lines: WeakValueDictionary[str, _Line] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, owner_id: str) -> AsyncIterator[None]:
        """One send of a user at a time, so that what `check` saw holds until the commit.

        Raises Unavailable when a store was away for one that went before: each would wait for it as long again.
        """
        line = self._lines.setdefault(owner_id, _Line())
        seen = line.failures
        async with line.lock:
            if line.failures != seen:
                raise Unavailable("a store is away")
            try:
                yield
            except Unavailable:
                line.failures += 1
                raise

    async def check(self, owner_id: str) -> None:
        """Within a turn. Raises RateLimited or Overloaded when there is no place for one more."""
        mine, everybodys = await self._generations.active(owner_id)
        refusal: Retryable | None = None
        if mine >= self._most_per_user:
            refusal = RateLimited(f"{mine} answers of yours are in the making: wait for one, or stop one", RETRY_AFTER)
        elif everybodys >= self._most:
            refusal = Overloaded("too many answers are in the making: try again soon", RETRY_AFTER)
        if refusal is not None:
            metrics.REFUSALS.labels(refusal.code).inc()
            raise refusal

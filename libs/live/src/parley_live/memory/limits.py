"""Rate limits."""

from __future__ import annotations

from parley_kit.clock import Clock
from parley_live.base import Rate
from parley_live.gcra import MICROSECONDS, take
from parley_live.memory.expiry import ExpiringMap


class MemoryRateLimits:
    """Holds the buckets that are not full; a full one is as one that was never used."""

    def __init__(self, clock: Clock) -> None:
        self._monotonic = clock.monotonic
        self._due: ExpiringMap[int] = ExpiringMap(clock)

    async def take(self, key: str, rate: Rate, cost: int = 1) -> float:
        bucket = f"{rate.limit}/{rate.seconds}:{key}"
        now = round(self._monotonic() * MICROSECONDS)
        due, wait = take(self._due.get(bucket) or 0, now, rate, cost)
        if not wait:
            self._due.put(bucket, due, due / rate.limit / MICROSECONDS - self._monotonic())
        return wait / MICROSECONDS

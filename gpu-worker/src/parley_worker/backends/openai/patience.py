"""Waiting before the next try."""

from __future__ import annotations

import random

from parley_kit.clock import Clock

FIRST_DELAY = 0.2
LONGEST_DELAY = 5.0


class Patience:
    """Full jitter, within so many seconds in all."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._clock = clock
        self._until = clock.monotonic() + seconds
        self._longest = FIRST_DELAY

    async def wait(self, at_least: float | None = None) -> bool:
        """Return True when it is time for the next try; False, at once, when the patience does not last so long."""
        delay = (at_least or 0.0) + random.uniform(0, self._longest)
        if self._clock.monotonic() + delay > self._until:
            return False
        self._longest = min(2 * self._longest, LONGEST_DELAY)
        await self._clock.sleep(delay)
        return True

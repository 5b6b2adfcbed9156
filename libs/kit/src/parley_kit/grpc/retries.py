"""Another try for reads whose peer could not be reached: a connection that broke, a peer that is being replaced."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina

from parley_kit.grpc.errors import Unreachable

T = TypeVar("T")

ATTEMPTS = 3
SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 0.3
BUDGET, EARNED = 10.0, 0.1
READS = ("Get", "List")


def is_read(method: str) -> bool:
    """Whether a call changes nothing, by its name (https://google.aip.dev/130): only such a one is tried again."""
    return method.rpartition("/")[2].startswith(READS)


class Retries:
    """Of one channel. At most three attempts, none planned after 0.5 s, with full jitter between them: the last one may
    take a second to find that nobody accepts its connection, and the caller is to know within 2 s.

    A budget keeps retries in proportion, as gRPC's own throttling does: each costs 1 of at most 10, and each call that
    reaches its peer earns 0.1. A peer that stays away is soon asked no more often than it is called.
    """

    def __init__(self) -> None:
        self._budget = BUDGET

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """What `call` returns or raises in the end."""
        async for attempt in stamina.retry_context(on=self._pause, attempts=ATTEMPTS, timeout=SECONDS):
            with attempt:
                answer = await call()
                self._budget = min(BUDGET, self._budget + EARNED)
                return answer
        raise AssertionError("the last attempt raises")

    def _pause(self, error: Exception) -> float | bool:
        """Seconds until the next attempt; False: there is none."""
        if not isinstance(error, Unreachable) or self._budget < 1:
            return False
        self._budget -= 1
        return random.uniform(0.001, LONGEST_PAUSE_SECONDS)

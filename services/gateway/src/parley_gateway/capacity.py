"""How many streams, of whatever transport, one gateway holds open at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from parley_kit.errors import Overloaded


class Capacity:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0

    @contextmanager
    def take(self) -> Iterator[None]:
        """One place for the block. Raises Overloaded when none is free."""
        if self._taken >= self._limit:
            raise Overloaded("this gateway has all the streams open that it can hold", retry_after=5.0)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

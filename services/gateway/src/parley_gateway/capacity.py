"""How much one gateway does at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from parley_gateway.metrics import PLACES_TAKEN
from parley_kit.errors import Overloaded


class Capacity:
    """Places, for streams or for requests; what they are called is for the message."""

    def __init__(self, limit: int, name: str) -> None:
        self._name = name
        self._limit = limit
        self._taken = 0

    @contextmanager
    def take(self) -> Iterator[None]:
        """One place for the block. Raises Overloaded when none is free."""
        if self._taken >= self._limit:
            raise Overloaded(f"this gateway has all the {self._name} that it can hold", retry_after=2.0)
        self._taken += 1
        PLACES_TAKEN.labels(self._name).inc()
        try:
            yield
        finally:
            self._taken -= 1
            PLACES_TAKEN.labels(self._name).dec()

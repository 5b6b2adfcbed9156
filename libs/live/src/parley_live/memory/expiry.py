"""A map whose entries have a time to live."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Generic, TypeVar

from parley_kit.clock import Clock

V = TypeVar("V")

SLACK = 16


@dataclass(slots=True)
class _Item(Generic[V]):
    value: V
    expires: float
    scheduled: float  # the one entry of the heap that stands for this item; never after `expires`


class ExpiringMap(Generic[V]):
    """Every call first drops what has expired, in O(log n) each, so the map never holds more than what lives."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._items: dict[str, _Item[V]] = {}
        self._heap: list[tuple[float, str]] = []

    def __len__(self) -> int:
        self._drop_expired()
        return len(self._items)

    def get(self, key: str) -> V | None:
        self._drop_expired()
        item = self._items.get(key)
        return None if item is None else item.value

    def put(self, key: str, value: V, seconds: float) -> None:
        """Keep `value` for `seconds` from now, whatever time was left to the one before it."""
        self._drop_expired()
        expires = self._clock.monotonic() + seconds
        item = self._items.get(key)
        if item is None or expires < item.scheduled:
            self._items[key] = _Item(value, expires, expires)
            heapq.heappush(self._heap, (expires, key))
            self._tidy()
        else:  # prolonged: the heap learns of it when the old time comes, so that refreshing costs nothing
            item.value, item.expires = value, expires

    def remaining(self, key: str) -> float:
        """Seconds that are left to `key`; 0.0 when it is not there."""
        self._drop_expired()
        item = self._items.get(key)
        return 0.0 if item is None else item.expires - self._clock.monotonic()

    def _tidy(self) -> None:
        """What was shortened leaves its old time in the heap: when these are the most, make the heap anew."""
        if len(self._heap) > 2 * len(self._items) + SLACK:
            self._heap = [(item.scheduled, key) for key, item in self._items.items()]
            heapq.heapify(self._heap)

    def _drop_expired(self) -> None:
        now = self._clock.monotonic()
        while self._heap and self._heap[0][0] <= now:
            scheduled, key = heapq.heappop(self._heap)
            item = self._items.get(key)
            if item is None or item.scheduled != scheduled:
                continue
            if item.expires <= now:
                del self._items[key]
            else:
                item.scheduled = item.expires
                heapq.heappush(self._heap, (item.expires, key))

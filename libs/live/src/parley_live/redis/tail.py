"""The newest entries of a stream, as they were pushed."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from time import monotonic

from parley_live.base import Delta, End, Entry
from parley_live.redis.codec import Position

LENGTH = 16
FRESH_SECONDS = 0.5
"""After that the stream itself is asked again: it may be gone."""


class Tail:
    """Without a hole; what it cannot tell has to be asked for."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=LENGTH)
        self._end = Position()
        self._pushed_at = 0.0

    def push(self, first: Position, values: Sequence[Delta | End]) -> None:
        if (first.born, first.index) != (self._end.born, self._end.index + 1):
            self._entries.clear()
        for index, value in enumerate(values, first.index):
            self._entries.append(Entry(f"{first.born}-{index}", value))
        self._end = Position(first.born, first.index + len(values) - 1)
        self._pushed_at = monotonic()

    def clear(self) -> None:
        """Something may have been missed."""
        self._entries.clear()
        self._end = Position()

    def after(self, position: Position, most: int) -> list[Entry] | None:
        """What follows `position`, nothing included; None when that is not known here.

        Of a position in another stream neither is known: its reader may have asked for a successor not pushed yet.
        """
        if not self._entries or monotonic() - self._pushed_at > FRESH_SECONDS:
            return None
        before = self._end.index - len(self._entries)
        known = position.index if position.born else 0
        if position.born not in (0, self._end.born) or known < before:
            return None
        return list(islice(self._entries, known - before, known - before + most))

"""Which requests have run out of time."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import NamedTuple

from parley_worker.scheduler.sequence import Sequence

_FEW = 64


class _Due(NamedTuple):
    deadline: float
    arrival: int
    sequence: Sequence


class Deadlines:
    """The deadlines of sequences, the nearest first. Those of sequences that are over are dropped now and then."""

    def __init__(self) -> None:
        self._due: list[_Due] = []

    def __len__(self) -> int:
        return len(self._due)

    def add(self, sequence: Sequence, live: int) -> None:
        """Watch a sequence, if it has a deadline. Of at most `live` sequences these matter."""
        if sequence.request.deadline is None:
            return
        if len(self._due) > 2 * live + _FEW:
            self._due = [due for due in self._due if not due.sequence.over]
            heapify(self._due)
        heappush(self._due, _Due(sequence.request.deadline, sequence.arrival, sequence))

    def expired(self, now: float) -> list[Sequence]:
        """The sequences whose deadlines are before `now`, once each."""
        expired = []
        while self._due and self._due[0].deadline <= now:
            sequence = heappop(self._due).sequence
            if not sequence.over:
                expired.append(sequence)
        return expired

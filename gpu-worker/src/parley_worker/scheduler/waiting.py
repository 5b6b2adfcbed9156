"""The sequences that wait to run."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable

from parley_worker.scheduler.fairness import FairQueue
from parley_worker.scheduler.sequence import Sequence


class Waiting:
    """First those that had to give their blocks back, in order of arrival; then the newcomers, fairly."""

    def __init__(self, quantum: int, cost: Callable[[Sequence], int]) -> None:
        self._preempted: list[Sequence] = []
        self._newcomers = FairQueue(quantum, cost)

    def __len__(self) -> int:
        return len(self._preempted) + len(self._newcomers)

    def add(self, sequence: Sequence) -> None:
        if sequence.recomputed:
            insort(self._preempted, sequence, key=lambda waiting: waiting.arrival)
        else:
            self._newcomers.add(sequence)

    def head(self) -> Sequence | None:
        """Who is next: nobody passes him, so that he cannot starve for room that others take."""
        if self._preempted:
            return self._preempted[0]
        return self._newcomers.head() if self._newcomers else None

    def remove(self, sequence: Sequence, spent: int = 0) -> None:
        """Take a sequence out; its user pays `spent` tokens for it, but not for what is computed again."""
        if sequence.recomputed:
            self._preempted.remove(sequence)
        else:
            self._newcomers.remove(sequence, spent)

    def charge(self, user: str, tokens: int) -> None:
        """See `FairQueue.charge`."""
        self._newcomers.charge(user, tokens)

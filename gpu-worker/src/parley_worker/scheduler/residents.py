"""Who runs and who waits: admission and preemption."""

from __future__ import annotations

from bisect import insort

from parley_worker.kv.cache import PagedCache, blocks_for
from parley_worker.scheduler.batch import BLOCK_SIZE
from parley_worker.scheduler.sequence import NOWHERE, Sequence
from parley_worker.scheduler.waiting import Waiting


class Residents:
    """At most `capacity` sequences run; `running` are in order of arrival. `preemptions`: how many there were so far.

    Nobody starves: the oldest of the running always gets the blocks that it needs, as the youngest give theirs back;
    these wait before all newcomers. And whoever is next to be admitted is passed by nobody.
    """

    def __init__(self, cache: PagedCache, capacity: int, quantum: int) -> None:
        self._cache, self._capacity = cache, capacity
        self.running: list[Sequence] = []
        self.waiting = Waiting(quantum, self._cost)
        self.preemptions = 0

    def admit(self) -> None:
        """Let run who waits, while there are places, and blocks for all that is known of him.

        What the running still need for their own is not given away: a prompt that is begun goes on. A sequence that
        gave its blocks back would otherwise return at once, to give them back again. While a token of his is in flight
        it waits too: what it is to compute is not known.
        """
        if len(self.running) >= self._capacity or not self.waiting:
            return
        reserved = sum(max(0, self._wanted(sequence) - len(sequence.blocks)) for sequence in self.running)
        while len(self.running) < self._capacity and (head := self.waiting.head()) is not None:
            found, unheld = self._cache.match(head)
            if head.drawing or self._wanted(head) - found + unheld + reserved > self._cache.pool.available:
                return
            self._cache.enter(head)
            self.waiting.remove(head, len(head.tokens) - head.computed)
            insort(self.running, head, key=_arrival)
            reserved += self._wanted(head) - len(head.blocks)

    def make_room(self, sequence: Sequence) -> bool:
        """See that a block is available, by preempting who came last; False if that was the sequence itself."""
        while not self._cache.pool.available:
            last = self.running[-1]
            self._preempt(last)
            if last is sequence:
                return False
        return True

    def remove(self, sequence: Sequence, *, bar: bool = False) -> None:
        """Take out a sequence wherever it is; `bar` as in `PagedCache.leave`."""
        if sequence.row == NOWHERE:
            self.waiting.remove(sequence)
        else:
            self.running.remove(sequence)
            self._cache.leave(sequence, bar=bar)

    def _preempt(self, sequence: Sequence) -> None:
        self.running.remove(sequence)
        self._cache.leave(sequence)
        sequence.recomputed += 1
        self.preemptions += 1
        self.waiting.add(sequence)

    def _wanted(self, sequence: Sequence) -> int:
        """The blocks for what is known of a sequence and its next token, the last of which is never computed."""
        return blocks_for(min(len(sequence.tokens) + 1, sequence.limit - 1))

    def _cost(self, sequence: Sequence) -> int:
        found, _ = self._cache.match(sequence)
        return len(sequence.tokens) - found * BLOCK_SIZE


def _arrival(sequence: Sequence) -> int:
    return sequence.arrival

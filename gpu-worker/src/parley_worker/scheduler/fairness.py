"""Whose turn it is, where requests wait: deficit round robin between users."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from parley_worker.scheduler.sequence import Sequence


@dataclass(slots=True)
class _Line:
    """The waiting requests of a user in order of arrival, what he may spend, and what the first of them costs."""

    waiting: OrderedDict[int, Sequence] = field(default_factory=OrderedDict)
    allowance: int = 0
    cost: int | None = None

    @property
    def head(self) -> Sequence:
        return next(iter(self.waiting.values()))


class FairQueue:
    """Shares tokens between the users who wait (M. Shreedhar, G. Varghese: Efficient Fair Queuing Using Deficit Round
    Robin, 1995): each round gives every user `quantum` tokens to spend, and whoever can pay for his next request has
    it. So over time users get equal shares of tokens, whatever the number and size of their requests.

    `cost` is asked once for each request that comes to the head of its line. Users without waiting requests are
    forgotten, with what they had left and what they owe.
    """

    def __init__(self, quantum: int, cost: Callable[[Sequence], int]) -> None:
        self._quantum, self._cost = quantum, cost
        self._lines: OrderedDict[str, _Line] = OrderedDict()
        self._chosen: _Line | None = None
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, sequence: Sequence) -> None:
        line = self._lines.setdefault(sequence.request.user, _Line())
        line.waiting[sequence.arrival] = sequence
        self._size += 1

    def head(self) -> Sequence:
        """Whose turn it is: the same one at each call until he is removed. There must be one."""
        if self._chosen is None:
            self._chosen = self._choose()
        return self._chosen.head

    def remove(self, sequence: Sequence, spent: int = 0) -> None:
        """Take out a waiting sequence; its user has `spent` so many tokens on it."""
        user = sequence.request.user
        line = self._lines[user]
        if line.head is sequence:
            line.cost = None
            if line is self._chosen:
                self._chosen = None
        del line.waiting[sequence.arrival]
        line.allowance -= spent
        self._size -= 1
        if not line.waiting:
            del self._lines[user]

    def charge(self, user: str, tokens: int) -> None:
        """Let a user pay for what is known only afterwards: the length of his answers."""
        line = self._lines.get(user)
        if line is not None:
            line.allowance -= tokens

    def _choose(self) -> _Line:
        """Give as many rounds as the first one needs to pay for his request, all at once."""
        rounds, chosen = min(
            ((self._rounds(line), line) for line in self._lines.values()),
            key=lambda item: item[0],
        )
        for line in self._lines.values():
            line.allowance += rounds * self._quantum
        return chosen

    def _rounds(self, line: _Line) -> int:
        if line.cost is None:
            line.cost = self._cost(line.head)
        return max(0, -((line.allowance - line.cost) // self._quantum))

"""The place of one group in one partition."""

from __future__ import annotations

from parley_bus.memory.member import Member


class Cursor:
    """Everything below `committed` is settled; what is settled above it is remembered exactly."""

    def __init__(self, start: int) -> None:
        self.committed = start
        self.owner: Member | None = None
        self._next = start
        self._settled: set[int] = set()

    def assign(self, owner: Member | None) -> None:
        """Hand the partition to `owner`. A new one gets what is unsettled, also what the old one has in hand."""
        if owner is self.owner:
            return
        self.owner = owner
        self._next = self.committed
        self.wake_owner()

    def wake_owner(self) -> None:
        if self.owner is not None:
            self.owner.wake.set()

    def take(self, end: int) -> int | None:
        """The next offset below `end` that is neither settled nor in the owner's hands."""
        while self._next < end:
            offset, self._next = self._next, self._next + 1
            if not self._is_settled(offset):
                return offset
        return None

    def settle(self, offset: int) -> None:
        if not self._is_settled(offset):
            self._settled.add(offset)
        while self.committed in self._settled:
            self._settled.remove(self.committed)
            self.committed += 1

    def _is_settled(self, offset: int) -> bool:
        return offset < self.committed or offset in self._settled

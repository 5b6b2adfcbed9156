"""What one consumer has in hand of one partition, and how far that lets it commit."""

from __future__ import annotations


class Window:
    """Offsets are handed out in rising order, settled in any. Memory: what is in hand, nothing else."""

    def __init__(self) -> None:
        self._next: int | None = None
        self._read: int | None = None
        self._owed: set[int] = set()

    def hand_out(self, offset: int) -> bool:
        """Whether the record is new: after a rebalance Kafka delivers again what is in hand or settled."""
        if self._read is not None and offset <= self._read:
            self._restart()
        self._read = offset
        if self._next is not None and offset < self._next:
            return False
        self._next = offset + 1
        self._owed.add(offset)
        return True

    def settle(self, offset: int) -> bool:
        """Whether it was in hand."""
        if offset not in self._owed:
            return False
        self._owed.remove(offset)
        return True

    @property
    def position(self) -> int | None:
        """The lowest unsettled offset, which is what to commit. None: nothing was handed out yet."""
        return min(self._owed) if self._owed else self._next

    def reread(self) -> None:
        """From now on Kafka delivers from the committed position again. To be called before it does."""
        self._read = None

    def rebase(self, committed: int) -> None:
        """The group has settled everything below `committed`: perhaps another member did meanwhile."""
        self._owed = {offset for offset in self._owed if offset >= committed}
        self._next = committed if self._next is None else max(self._next, committed)

    def _restart(self) -> None:
        """Kafka went back without a rebalance: the topic was made anew, and its offsets mean other records."""
        self._next = None
        self._owed.clear()

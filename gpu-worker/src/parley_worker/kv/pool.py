"""The blocks of the KV cache: who holds them, and which are kept for those who come with the same tokens."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable

_BARRED = b""


class IntegrityError(RuntimeError):
    """The books do not add up: a bug, after which no block can be trusted."""


class BlockPool:
    """Reference counts of `size` blocks, and an index of those whose contents have a name.

    A block is held (by one or more), kept (held by nobody, findable by its name) or free. Kept blocks are given out
    again only when no block is free, the one that was let go first at first. Every operation on a block is O(1).
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._holders = [0] * size
        self._names: list[bytes | None] = [None] * size
        self._found: dict[bytes, int] = {}
        self._free = list(range(size - 1, -1, -1))
        self._kept: OrderedDict[int, None] = OrderedDict()

    @property
    def available(self) -> int:
        """How many blocks `allocate` could give."""
        return len(self._free) + len(self._kept)

    @property
    def kept(self) -> int:
        return len(self._kept)

    def allocate(self) -> int:
        """Hold a block whose contents are nobody's. IndexError if none is available."""
        if self._free:
            block = self._free.pop()
        elif self._kept:
            block, _ = self._kept.popitem(last=False)
            self._unname(block)
        else:
            raise IndexError("no block is available")
        self._holders[block] = 1
        return block

    def find(self, name: bytes) -> int | None:
        """The block of that name, which the caller does not hold by this."""
        return self._found.get(name)

    def is_held(self, block: int) -> bool:
        return self._holders[block] > 0

    def hold(self, block: int) -> None:
        """Hold a block that is held or kept, once more."""
        if not self._holders[block]:
            del self._kept[block]
        self._holders[block] += 1

    def claim(self, name: bytes) -> int | None:
        """Hold the block of that name, unless somebody holds it: the caller may write to it, and nobody finds it."""
        block = self._found.get(name)
        if block is None or self._holders[block]:
            return None
        self.hold(block)
        self._unname(block)
        return block

    def publish(self, block: int, name: bytes) -> None:
        """Make a held block findable, once its contents are computed.

        It stays private if it was barred, or another block has the name already: one is enough for all.
        """
        if self._names[block] is None and name not in self._found:
            self._names[block] = name
            self._found[name] = block

    def bar(self, block: int) -> None:
        """Let nobody find a held block, from now until it is given out anew."""
        self._unname(block)
        self._names[block] = _BARRED

    def release(self, blocks: Iterable[int]) -> None:
        """Let go of held blocks, those to be given out first at first. Those with a name are kept."""
        for block in blocks:
            self._holders[block] -= 1
            if not self._holders[block]:
                self._put_away(block)

    def check_integrity(self, held: Iterable[int]) -> None:
        """Raise IntegrityError unless exactly the blocks `held` are, each as often as it is in there.

        Milliseconds for ten thousand blocks: what is wrong is looked for only where something is.
        """
        holders = Counter(held)
        self._check_holders(holders)
        self._check_places([*self._free, *self._kept, *holders])
        self._check_names()

    def _check_holders(self, holders: Counter[int]) -> None:
        few = self.size - self._holders.count(0) == len(holders)
        if few and all(self._holders[block] == count for block, count in holders.items()):
            return
        block = next(block for block in range(self.size) if self._holders[block] != holders[block])
        raise IntegrityError(f"block {block} has {self._holders[block]} holders, not {holders[block]}")

    def _check_places(self, places: list[int]) -> None:
        if len(places) == len(set(places)) == self.size:
            return
        states = Counter(places)
        block = next(block for block in range(self.size) if states[block] != 1)
        raise IntegrityError(f"block {block} is in {states[block]} of the states held, kept and free")

    def _check_names(self) -> None:
        if {name: block for block, name in enumerate(self._names) if name} != self._found:
            raise IntegrityError("the index and the names of the blocks differ")
        for block in self._free:
            if self._names[block] is not None:
                raise IntegrityError(f"block {block} is free and has a name")
        for block in self._kept:
            if not self._names[block]:
                raise IntegrityError(f"block {block} is kept without a name")

    def _put_away(self, block: int) -> None:
        if self._names[block]:
            self._kept[block] = None
        else:
            self._names[block] = None
            self._free.append(block)

    def _unname(self, block: int) -> None:
        name = self._names[block]
        if name:
            del self._found[name]
        self._names[block] = None

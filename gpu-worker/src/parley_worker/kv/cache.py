"""The KV cache as sequences use it: their blocks, the tables of them, and what they find of others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from parley_worker.kv.digests import BlockDigests
from parley_worker.kv.pool import BlockPool
from parley_worker.scheduler.batch import BLOCK_SIZE, Int32s
from parley_worker.scheduler.sequence import NOWHERE, Sequence

# Of a long prompt that nobody has asked for before, the others are named when it comes to them.
_NAMED_AT_ONCE = 128


def blocks_for(tokens: int) -> int:
    """How many blocks so many tokens take."""
    return -(-tokens // BLOCK_SIZE)


class PagedCache:
    """Gives blocks to running sequences and keeps their tables; `share`: equal prefixes of one user share their blocks.

    hits: tokens found instead of computed, so far. tables [rows, blocks of a window]: the blocks of each running
    sequence, in its `row`. What is behind the blocks of a sequence are valid ids too.
    """

    def __init__(self, blocks: int, rows: int, window: int, *, share: bool) -> None:
        self.pool = BlockPool(blocks)
        self.hits = 0
        self.tables: Int32s = np.zeros((rows, blocks_for(window)), np.int32)
        self._rows = list(range(rows - 1, -1, -1))
        self._share = share
        self._digests = BlockDigests()

    def enter(self, sequence: Sequence) -> None:
        """Give a sequence a row of the tables, and all that is cached of its prefix."""
        sequence.row = self._rows.pop()
        self.take_over(sequence)
        self._take_begun(sequence)
        sequence.settled = sequence.computed

    def leave(self, sequence: Sequence, *, bar: bool = False) -> None:
        """Take row and blocks from a sequence; `bar`: nobody is to find what it held.

        Those at its end are given out first, as the others are worth more: they are the prefix of more sequences.
        """
        if bar:
            for block in sequence.blocks:
                self.pool.bar(block)
        self._publish_begun(sequence)
        self.pool.release(reversed(sequence.blocks))
        self._rows.append(sequence.row)
        sequence.blocks.clear()
        sequence.row, sequence.computed, sequence.settled, sequence.published = NOWHERE, 0, 0, 0

    def match(self, sequence: Sequence) -> tuple[int, int]:
        """How many blocks of its prefix a sequence without blocks would find, and how many of these nobody holds.

        One token at least is left to compute, as the scores that follow the last one are not in any cache.
        """
        found = unheld = 0
        for block in self._find(sequence):
            found += 1
            unheld += not self.pool.is_held(block)
        return found, unheld

    def take_over(self, sequence: Sequence) -> int:
        """Let a sequence at the border of a block share what others have computed of the next; how many tokens."""
        begin = sequence.computed
        if begin % BLOCK_SIZE:
            return 0
        for block in self._find(sequence):
            self.pool.hold(block)
            self._append(sequence, block)
            sequence.computed += BLOCK_SIZE
        return self._count(sequence, sequence.computed - begin)

    def next_name(self, sequence: Sequence) -> bytes | None:
        """The name of the block that the next token of a sequence is in, if the sequence could share it."""
        index = sequence.computed // BLOCK_SIZE
        if index >= self._shareable(sequence):
            return None
        self._name(sequence, index + 1)
        return sequence.digests[index]

    def has_room(self, sequence: Sequence) -> bool:
        """Whether the next token of a sequence goes into a block that it has already."""
        return sequence.computed < len(sequence.blocks) * BLOCK_SIZE

    def room(self, sequence: Sequence) -> int:
        """How many tokens more of a sequence there could be blocks for."""
        return (len(sequence.blocks) + self.pool.available) * BLOCK_SIZE - sequence.computed

    def lacks(self, sequence: Sequence, tokens: int) -> int:
        """How many blocks more a sequence needs for its next `tokens` tokens."""
        return max(0, blocks_for(sequence.computed + tokens) - len(sequence.blocks))

    def grow(self, sequence: Sequence, tokens: int) -> None:
        """Give a sequence the blocks for its next `tokens` tokens. IndexError if there are not so many."""
        for _ in range(self.lacks(sequence, tokens)):
            self._append(sequence, self.pool.allocate())

    def publish(self, sequence: Sequence, computed: int) -> None:
        """Make the blocks of the first `computed` tokens findable, all of which are known and have been computed."""
        sequence.settled, blocks = computed, computed // BLOCK_SIZE
        if self._share and blocks > sequence.published:
            self._name(sequence, blocks)
            for index in range(sequence.published, blocks):
                self.pool.publish(sequence.blocks[index], sequence.digests[index])
            sequence.published = blocks

    def check_integrity(self, running: Iterable[Sequence]) -> None:
        """Raise IntegrityError unless exactly `running` hold blocks."""
        self.pool.check_integrity(chain.from_iterable(sequence.blocks for sequence in running))

    def _publish_begun(self, sequence: Sequence) -> None:
        """Let who goes on from where a sequence stands have its last block too."""
        blocks, begun = divmod(sequence.settled, BLOCK_SIZE)
        if self._share and begun:
            self._name(sequence, blocks)
            self.pool.publish(sequence.blocks[blocks], self._name_begun(sequence, sequence.settled))

    def _take_begun(self, sequence: Sequence) -> None:
        """Give a sequence the block that another one left behind in the middle of what follows its blocks.

        It is the sequence's own then, as it writes to it: whoever comes next with the same tokens computes them.
        """
        most = min(BLOCK_SIZE, len(sequence.tokens) - sequence.computed) if self._share else 0
        for begun in range(most - 1, 0, -1):
            block = self.pool.claim(self._name_begun(sequence, sequence.computed + begun))
            if block is not None:
                self._append(sequence, block)
                sequence.computed += begun
                self._count(sequence, begun)
                return

    def _count(self, sequence: Sequence, found: int) -> int:
        self.hits += found
        if not sequence.recomputed:
            sequence.cached += found
        return found

    def _append(self, sequence: Sequence, block: int) -> None:
        self.tables[sequence.row, len(sequence.blocks)] = block
        sequence.blocks.append(block)

    def _find(self, sequence: Sequence) -> Iterator[int]:
        """The blocks that others have computed of what follows the blocks of a sequence, one after the other."""
        shareable = self._shareable(sequence)
        for index in range(len(sequence.blocks), shareable):
            if index >= len(sequence.digests):
                self._name(sequence, min(shareable, index + _NAMED_AT_ONCE))
            block = self.pool.find(sequence.digests[index])
            if block is None:
                return
            yield block

    def _shareable(self, sequence: Sequence) -> int:
        """How many blocks a sequence may find rather than compute."""
        return (len(sequence.tokens) - 1) // BLOCK_SIZE if self._share else 0

    def _name_begun(self, sequence: Sequence, end: int) -> bytes:
        return self._digests.of_begun(sequence.digests, sequence.tokens, end, sequence.request.user)

    def _name(self, sequence: Sequence, blocks: int) -> None:
        self._digests.extend(sequence.digests, sequence.tokens, blocks, sequence.request.user)

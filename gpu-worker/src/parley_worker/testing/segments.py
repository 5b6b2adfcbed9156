"""Batches by hand: which tokens of which sequences a step computes."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from parley_worker.scheduler.batch import BLOCK_SIZE, Batch


@dataclass(frozen=True, slots=True)
class Text:
    """The tokens of a prompt and the blocks that hold them."""

    tokens: tuple[int, ...]
    blocks: tuple[int, ...]

    def part(self, begin: int = 0, end: int | None = None, draws: Sequence[int] | None = None) -> Part:
        end = len(self.tokens) if end is None else end
        return Part(self, begin, end, tuple(range(begin, end) if draws is None else draws))

    def cut(self, sizes: Iterable[int]) -> Iterator[Part]:
        """All of it in parts of these sizes, the last of which is as long as it may be."""
        begin = 0
        for size in (*sizes, len(self.tokens)):
            end = min(begin + size, len(self.tokens))
            if begin < end:
                yield self.part(begin, end)
            begin = end


@dataclass(frozen=True, slots=True)
class Part:
    """The tokens of `text` from begin up to end, and the positions in there whose scores are wanted."""

    text: Text
    begin: int
    end: int
    draws: tuple[int, ...]


class Blocks:
    """Deals blocks out in random order."""

    def __init__(self, count: int, seed: int = 0) -> None:
        self._free = random.Random(seed).sample(range(count), count)

    def text(self, tokens: Sequence[int], shared: Sequence[int] = ()) -> Text:
        """A text in blocks of its own, behind those that it shares."""
        own = -(-len(tokens) // BLOCK_SIZE) - len(shared)
        blocks, self._free = self._free[:own], self._free[own:]
        return Text(tuple(tokens), (*shared, *blocks))


def make_tokens(count: int, seed: int) -> tuple[int, ...]:
    rng = random.Random(seed)
    return tuple(rng.randrange(280) for _ in range(count))


def make_batch(parts: Sequence[Part], padding: Sequence[int] = (0,)) -> Batch:
    """A batch with these parts as its segments; `padding` is repeated behind the blocks that a part needs."""
    sizes = [part.end - part.begin for part in parts]
    starts = np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
    positions = np.concatenate([np.arange(part.begin, part.end) for part in parts])
    needed = [-(-part.end // BLOCK_SIZE) for part in parts]
    blocks = np.resize(np.array(padding, np.int32), (len(parts), max(needed) + len(padding) - 1))
    for row, part, count in zip(blocks, parts, needed, strict=True):
        row[:count] = part.text.blocks[:count]
    return Batch(
        tokens=np.concatenate([np.array(part.text.tokens[part.begin : part.end]) for part in parts]),
        positions=positions,
        lengths=np.maximum(np.repeat([len(part.text.tokens) for part in parts], sizes), positions + 1),
        starts=starts,
        blocks=blocks,
        draws=np.array(
            [start + at - part.begin for start, part in zip(starts, parts, strict=False) for at in part.draws],
            dtype=np.int64,
        ),
    )

"""What one step of the model computes."""

from __future__ import annotations

from dataclasses import dataclass

from parley_worker.scheduler.request import Sequence


@dataclass(frozen=True, slots=True)
class Segment:
    """The next `length` tokens of a sequence, whose keys and values live in `slot`. `draws`: a token follows."""

    sequence: Sequence
    slot: int
    length: int

    @property
    def start(self) -> int:
        return self.sequence.computed

    @property
    def draws(self) -> bool:
        return self.length == self.sequence.pending


@dataclass(frozen=True, slots=True)
class Move:
    """The keys and values of the first `length` tokens in slot `source` go to slot `target`."""

    source: int
    target: int
    length: int


@dataclass(frozen=True, slots=True)
class Clear:
    """The first `length` tokens in a slot may hold numbers that are not finite: padding must not read them."""

    slot: int
    length: int


@dataclass(frozen=True, slots=True)
class Step:
    """First the edits of the cache, in this order, then the segments, those of one token first, in one forward pass."""

    edits: tuple[Move | Clear, ...]
    segments: tuple[Segment, ...]

    @property
    def drawing(self) -> tuple[Segment, ...]:
        return tuple(segment for segment in self.segments if segment.draws)

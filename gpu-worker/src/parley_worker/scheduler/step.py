"""What one step of the model computes."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from parley_worker.scheduler.batch import Int32s
from parley_worker.scheduler.draw import Draw
from parley_worker.scheduler.sequence import Sequence

KNOWN = -1


class Segment(NamedTuple):
    """The tokens of a sequence from position `start` on, `length` of them; the last `draws` are followed by a draw.

    drafts: the last tokens, which are guesses. source: KNOWN, or the draw of the step before that gives the token.
    place: where in the answer the first token drawn is. life: Sequence.recomputed when this was planned.
    """

    sequence: Sequence
    start: int
    length: int
    draws: int
    place: int
    drafts: tuple[int, ...]
    source: int
    life: int

    @property
    def token_ids(self) -> list[int]:
        """Its tokens; -1 - d is the one that draw d of the step before gives."""
        if self.source != KNOWN:
            return [-1 - self.source]
        if self.length == 1:
            return [self.sequence.tokens[self.start]]
        end = self.start + self.length - len(self.drafts)
        return [*self.sequence.tokens[self.start : end], *self.drafts]


class Step(msgspec.Struct, frozen=True, eq=False, gc=False):
    """The segments of one forward pass, those of one row first. `tables`: see `PagedCache`.

    names: the blocks that its prompts begin with. The rows of decoding sequences, drafts included, are `decode_rows` of
    `rows`; `proposed` are drafts. prefix_hits and preemptions: what was found in the cache, in tokens, and how many had
    to go, to make this step. rounds: how often it may be repeated at most, itself included, each time with the tokens
    just drawn; more than once only where all its segments are of one row and without drafts.
    Read it before the next call of the scheduler that made it: it looks at the scheduler's own state.
    """

    segments: tuple[Segment, ...]
    tables: Int32s
    names: frozenset[bytes]
    rows: int
    decode_rows: int
    proposed: int
    prefix_hits: int
    preemptions: int
    rounds: int = 1

    @property
    def draw_count(self) -> int:
        """Of one round."""
        return sum(segment.draws for segment in self.segments)

    @property
    def draws(self) -> list[Draw]:
        """What the sampler is to draw in the first round, in the order of Batch.draws."""
        draws = []
        for segment in self.segments:
            sequence = segment.sequence
            sampling, tokens, counts = sequence.request.sampling, sequence.tokens, sequence.counts
            if segment.draws:
                draws.append(Draw(sampling, segment.place, tokens, sequence.prompt, counts))
            for count in range(1, segment.draws):
                known = [*tokens, *segment.drafts[:count]]
                guessed = counts and counts.copy()
                draws.append(Draw(sampling, segment.place + count, known, sequence.prompt, guessed))
        return draws

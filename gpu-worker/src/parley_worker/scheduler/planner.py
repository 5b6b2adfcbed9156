"""Fills a step: one budget of tokens for those that decode and for pieces of prompts."""

from __future__ import annotations

from collections.abc import Iterable

from parley_worker.kv.cache import PagedCache
from parley_worker.scheduler.batch import BLOCK_SIZE
from parley_worker.scheduler.proposer import Proposer
from parley_worker.scheduler.residents import Residents
from parley_worker.scheduler.sequence import NOWHERE, Sequence
from parley_worker.scheduler.shares import share_tokens
from parley_worker.scheduler.step import KNOWN, Segment, Step


class Planner:
    """Decides what the next step computes: first a token of each decoding sequence, then prompts, then drafts.

    rounds: as many a step may have, where there are neither prompts nor drafts.
    """

    def __init__(
        self, residents: Residents, cache: PagedCache, step_tokens: int, proposer: Proposer | None, rounds: int
    ) -> None:
        self._residents, self._cache = residents, cache
        self._step_tokens, self._proposer, self._rounds = step_tokens, proposer, rounds

    def plan(self, flying: frozenset[bytes]) -> Step:
        """The next step, which the sequences in it count as computed from now. `flying`: the names of a step before."""
        hits, preemptions = self._cache.hits, self._residents.preemptions
        decodes = self._plan_decodes()
        self._residents.admit()
        prompts, prompt_rows = dict[Sequence, int](), 0
        if len(decodes) < len(self._residents.running):
            prompts = self._plan_prompts(self._step_tokens - len(decodes), set(decodes), flying)
            prompt_rows = sum(prompts.values())
            decodes = [sequence for sequence in decodes if sequence.row != NOWHERE]
        drafts = self._plan_drafts(decodes, self._step_tokens - len(decodes) - prompt_rows)
        proposed = sum(map(len, drafts.values()))
        alone = bool(decodes) and len(decodes) == len(self._residents.running) and not drafts
        rounds = self._plan_rounds(decodes) if alone else 1
        names = frozenset(name for sequence in prompts if (name := self._cache.next_name(sequence)) is not None)
        return Step(
            segments=_launch(decodes, prompts, drafts, rounds),
            tables=self._cache.tables,
            names=names,
            rows=len(decodes) + proposed + prompt_rows,
            decode_rows=len(decodes) + proposed,
            proposed=proposed,
            prefix_hits=self._cache.hits - hits,
            preemptions=self._residents.preemptions - preemptions,
            rounds=rounds,
        )

    def _plan_decodes(self) -> list[Sequence]:
        """Those that are one token short, the oldest first: so nobody who was chosen has to go for another."""
        chosen = []
        for sequence in tuple(self._residents.running):
            if sequence.row == NOWHERE or sequence.pending != 1 or not can_go_on(sequence):
                continue
            if self._cache.has_room(sequence):
                chosen.append(sequence)
            elif self._residents.make_room(sequence):
                self._cache.grow(sequence, 1)
                chosen.append(sequence)
        return chosen

    def _plan_prompts(self, left: int, decodes: set[Sequence], flying: frozenset[bytes]) -> dict[Sequence, int]:
        """Pieces of prompts, and of what preempted sequences compute again: how many tokens of each.

        However many decode, prompts get a block of tokens: they do not stand still.
        """
        prompts = [s for s in self._residents.running if s not in decodes and can_go_on(s)]
        for sequence in prompts:
            found = self._cache.take_over(sequence)
            self._residents.waiting.charge(sequence.request.user, -found)
        ready = self._without_waiting(prompts, flying)
        shares = share_tokens([s.pending for s in ready], max(left, min(self._step_tokens, BLOCK_SIZE)))
        chunks = {s: self._plan_chunk(s, share) for s, share in zip(ready, shares, strict=True) if share}
        return {sequence: tokens for sequence, tokens in chunks.items() if tokens}

    def _without_waiting(self, prompts: list[Sequence], flying: frozenset[bytes]) -> list[Sequence]:
        """The oldest, then the shortest first, without those whose next block another one is computing.

        These take it over when it is there. As all take over what there is, two who have the next blocks in common
        stand at the same one, so that it suffices to compare this.
        """
        ready, names = [], set(flying)
        for sequence in prompts[:1] + sorted(prompts[1:], key=lambda prompt: prompt.pending):
            name = self._cache.next_name(sequence)
            if sequence.computed % BLOCK_SIZE or name not in names:
                ready.append(sequence)
            if name is not None:
                names.add(name)
        return ready

    def _plan_chunk(self, sequence: Sequence, tokens: int) -> int:
        """Give a prompt blocks for its next `tokens` tokens, or for as many as there are; how many it computes."""
        if sequence.row == NOWHERE:
            return 0
        if not self._cache.room(sequence) and sequence is self._residents.running[0]:
            self._residents.make_room(sequence)
        tokens = min(tokens, self._cache.room(sequence))
        if tokens < sequence.pending:  # up to the border of a block, so that others find all of it
            tokens = max(tokens - (sequence.computed + tokens) % BLOCK_SIZE, 0) or tokens
        self._cache.grow(sequence, tokens)
        return tokens

    def _plan_drafts(self, decodes: list[Sequence], left: int) -> dict[Sequence, tuple[int, ...]]:
        """Guesses of what those that decode draw next, where there are few of them and blocks are to be had."""
        proposer, drafts = self._proposer, dict[Sequence, tuple[int, ...]]()
        if proposer is None or len(decodes) > proposer.streams:
            return drafts
        for sequence in decodes:
            limit = min(left, sequence.limit - len(sequence.tokens) - 1, self._cache.room(sequence) - 1)
            proposed = tuple(proposer.propose(sequence.tokens, limit)) if limit > 0 else ()
            if proposed:
                self._cache.grow(sequence, 1 + len(proposed))
                drafts[sequence] = proposed
                left -= len(proposed)
        return drafts

    def _plan_rounds(self, decodes: list[Sequence]) -> int:
        """How many tokens those that decode may draw in one step each; takes the blocks for them, preempts nobody."""
        if self._rounds == 1 or any(sequence.request.sampling.is_stepwise for sequence in decodes):
            return 1
        rounds = min(self._rounds, *(sequence.limit - len(sequence.tokens) for sequence in decodes))
        while sum(self._cache.lacks(sequence, rounds) for sequence in decodes) > self._cache.pool.available:
            rounds -= 1
        for sequence in decodes:
            self._cache.grow(sequence, rounds)
        return rounds


def can_go_on(sequence: Sequence) -> bool:
    """Whether a sequence can be in the next step although its draws in flight are not known."""
    if not sequence.drawing:
        return True
    ends = len(sequence.tokens) + sequence.drawing >= sequence.limit
    return not ends and not sequence.request.sampling.has_penalties


def _launch(
    decodes: list[Sequence], prompts: dict[Sequence, int], drafts: dict[Sequence, tuple[int, ...]], rounds: int
) -> tuple[Segment, ...]:
    """The segments, those of one row first. The sequences count them as computed, and know which draws are theirs."""
    segments = [_segment(sequence, 1, drafts.get(sequence, ())) for sequence in decodes]
    segments += [_segment(sequence, length, ()) for sequence, length in prompts.items()]
    segments.sort(key=lambda segment: segment.length > 1)
    _number(segments, rounds)
    return tuple(segments)


def _segment(sequence: Sequence, length: int, drafts: tuple[int, ...]) -> Segment:
    draws = 1 + len(drafts) if length == sequence.pending else 0
    place = sequence.answered + sequence.drawing
    source = sequence.source if sequence.drawing else KNOWN
    computed, life = sequence.computed, sequence.recomputed
    return Segment(sequence, computed, length + len(drafts), draws, place, drafts, source, life)


def _number(segments: Iterable[Segment], rounds: int) -> None:
    draws = 0
    for segment in segments:
        segment.sequence.computed += segment.length + rounds - 1
        segment.sequence.drawing += segment.draws + rounds - 1
        segment.sequence.source = draws
        draws += segment.draws

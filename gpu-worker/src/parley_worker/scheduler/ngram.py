"""Drafts from the sequence itself: what followed when its last tokens stood there before (prompt lookup).

Answers repeat their prompts (summaries, corrections, code, names) and themselves. The idea is Saxena's "Prompt lookup
decoding" (2023); what is added here is that drafts are checked against what was drawn also when they were not run. So
whether they would pay is known without a row spent on trying.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType

from parley_worker.scheduler.odds import Acceptance, Credit, RowCost
from parley_worker.scheduler.stats import StepStats

_SHORTEST, _LONGEST = 2, 4
_FIRST_CHANCES: Mapping[int, float] = MappingProxyType({2: 0.3, 3: 0.5, 4: 0.7})
_LONGEST_REST = 64
_READERS_PER_STREAM = 4
# Ids as bytes, in which Python finds them without numpy, whose code has left the caches when the next step begins.
_ID = "i"
_WIDTH = array(_ID).itemsize

Chances = Mapping[int, Acceptance]


class NgramProposer:
    """See `Proposer`. `longest`: tokens of a draft at most. row_cost: a first guess for `RowCost`, the share of a row.

    It keeps what it has read of the sequences that it was asked for last, four for each of `streams`.
    """

    def __init__(self, streams: int = 4, longest: int = 8, row_cost: float = 0.15) -> None:
        self.streams = streams
        self._longest = longest
        self._cost, self._credit, self._sequences = RowCost(row_cost), Credit(), 1
        self._chances = _chances(_FIRST_CHANCES)
        self._readers: OrderedDict[int, _Reader] = OrderedDict()

    def propose(self, tokens: list[int], limit: int) -> list[int]:
        """See `Proposer.propose`."""
        reader = self._reader(tokens)
        reader.check(self._chances)
        chance = reader.look_ahead(self._longest)
        if chance is None:
            return []
        wanted = chance.best_length(self._row_cost, min(limit, len(reader.draft)))
        return reader.draft[:wanted] if wanted and self._credit.allows() else []

    def observe(self, proposed: int, accepted: int) -> None:
        """See `Proposer.observe`."""
        self._credit.settle(proposed, accepted, self._row_cost)

    def timed(self, stats: StepStats, seconds: float) -> None:
        """How long a step took: tells what a drafted row costs. Steps with prompts say nothing about it."""
        if not stats.prompt_rows and stats.decode_rows:
            self._sequences = stats.decode_rows // stats.rounds - stats.drafts_proposed
            self._cost.learn(self._sequences, stats.drafts_proposed, seconds / stats.rounds)

    @property
    def _row_cost(self) -> float:
        """A drafted row brings one sequence its tokens, and all that share the step wait for it."""
        return self._cost.share * self._sequences

    def _reader(self, tokens: list[int]) -> _Reader:
        # A reader holds its list, so that no other one has the id meanwhile.
        if (reader := self._readers.get(id(tokens))) is None:
            first = {size: chance.chance for size, chance in self._chances.items()}
            reader = self._readers[id(tokens)] = _Reader(tokens, first)
        self._readers.move_to_end(id(tokens))
        if len(self._readers) > _READERS_PER_STREAM * self.streams:
            self._readers.popitem(last=False)
        return reader


class _Reader:
    """A sequence as far as it was read, and the draft that waits to be checked against what is drawn.

    draft: what may follow `tokens`, as far as it is not known yet. It was made from a match of `_size` tokens.
    """

    def __init__(self, tokens: list[int], first_chances: Mapping[int, float]) -> None:
        self.tokens = tokens
        self.draft: list[int] = []
        self._chances = _chances(first_chances)
        self._size, self._at = 0, 0
        self._read = bytearray()
        self._rest, self._search_at = 0, 0

    def check(self, overall: Chances) -> None:
        """Learn from the tokens that have come since the last draft, up to the first that is another."""
        while self.draft and self._at < len(self.tokens):
            accepted = self.draft.pop(0) == self.tokens[self._at]
            self._chances[self._size].learn(accepted)
            overall[self._size].learn(accepted)
            self._at += 1
            self._pace(accepted)

    def look_ahead(self, longest: int) -> Acceptance | None:
        """How likely the draft is right, made anew if need be; None without one."""
        if len(self.tokens) >= self._search_at:
            self.draft = self._search(longest)
            self._at = len(self.tokens)
        return self._chances[self._size] if self.draft else None

    def _pace(self, accepted: bool) -> None:
        """After wrong drafts in a row the search rests for 1, 2, 4, ... 64 tokens."""
        if accepted:
            self._rest = 0
            return
        self.draft = []
        self._search_at = self._at + self._rest
        self._rest = min(2 * self._rest or 1, _LONGEST_REST)

    def _search(self, longest: int) -> list[int]:
        """What followed the last of the longest matches. Where that ends, it goes on as if the text repeated itself."""
        self._take_in()
        start = self._match()
        if start is None:
            return []
        draft = self.tokens[start : start + longest]
        while len(draft) < longest:
            draft += draft[: longest - len(draft)]
        return draft

    def _match(self) -> int | None:
        """Where the token after the last match stands; sets the match's size."""
        read, end = self._read, len(self._read) - _WIDTH  # the token that follows it is there too
        for size in range(min(_LONGEST, len(self.tokens)), _SHORTEST - 1, -1):
            found = _find_last(read, bytes(read[-size * _WIDTH :]), end)
            if found is not None:
                self._size = size
                return found + size
        return None

    def _take_in(self) -> None:
        self._read += array(_ID, self.tokens[len(self._read) // _WIDTH :]).tobytes()


def _find_last(read: bytearray, ids: bytes, end: int) -> int | None:
    """Which of the ids in `read` is the first of the last `ids` that end at `end` or before."""
    while (found := read.rfind(ids, 0, end)) % _WIDTH:
        if found < 0:
            return None
        end = found + len(ids) - 1  # bytes of two ids that look like one
    return found // _WIDTH


def _chances(first: Mapping[int, float]) -> Chances:
    return {size: Acceptance(chance) for size, chance in first.items()}

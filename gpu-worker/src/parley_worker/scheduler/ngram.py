"""Drafts from the sequence itself: what followed when its last tokens stood there before (prompt lookup).

Answers repeat their prompts (summaries, corrections, code, names) and themselves. The idea is Saxena's "Prompt lookup
decoding" (2023); what is added here is that drafts are checked against what was drawn also when they were not run. So
whether they would pay is known without a row spent on trying.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from parley_worker.scheduler.batch import Ints
from parley_worker.scheduler.odds import Acceptance, Credit, RowCost
from parley_worker.scheduler.stats import StepStats

_SHORTEST, _LONGEST = 2, 4
_FIRST_CHANCES: Mapping[int, float] = MappingProxyType({2: 0.3, 3: 0.5, 4: 0.7})
_LONGEST_REST = 64
_READERS_PER_STREAM = 4

Chances = Mapping[int, Acceptance]


class NgramProposer:
    """See `Proposer`. `longest`: tokens of a draft at most. row_cost: a first guess for `RowCost`, the share of a row.

    It keeps what it has read of the sequences that it was asked for last, four for each of `streams`.
    """

    def __init__(self, streams: int = 4, longest: int = 8, row_cost: float = 0.15) -> None:
        self.streams = streams
        self._longest = longest
        self._cost, self._credit = RowCost(row_cost), Credit()
        self._chances = _chances(_FIRST_CHANCES)
        self._readers: OrderedDict[int, _Reader] = OrderedDict()

    def propose(self, tokens: list[int], limit: int) -> list[int]:
        """See `Proposer.propose`."""
        reader = self._reader(tokens)
        reader.check(self._chances)
        chance = reader.look_ahead(self._longest)
        if chance is None:
            return []
        wanted = chance.best_length(self._cost.share, min(limit, len(reader.draft)))
        return reader.draft[:wanted] if wanted and self._credit.allows() else []

    def observe(self, proposed: int, accepted: int) -> None:
        """See `Proposer.observe`."""
        self._credit.settle(proposed, accepted, self._cost.share)

    def timed(self, stats: StepStats, seconds: float) -> None:
        """How long a step took: tells what a drafted row costs. Steps with prompts say nothing about it."""
        if not stats.prompt_rows and stats.decode_rows:
            self._cost.learn(stats.decode_rows - stats.drafts_proposed, stats.drafts_proposed, seconds)

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
        self._read: Ints = np.empty(2 * len(tokens) + 64, np.int64)
        self._length = 0
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
        draft: list[int] = self._read[start : min(start + longest, self._length)].tolist()
        while len(draft) < longest:
            draft += draft[: longest - len(draft)]
        return draft

    def _match(self) -> int | None:
        """Where the token after the last match stands; sets the match's size."""
        read, length = self._read, self._length
        if length <= _SHORTEST:
            return None
        # A match that ends right before position p: all its tokens, and the one at p, are in the sequence.
        ends = np.flatnonzero(read[_SHORTEST - 1 : length - 1] == read[length - 1]) + _SHORTEST
        found: int | None = None
        for size in range(_SHORTEST, _LONGEST + 1):
            ends = ends[(ends >= size) & (read[ends - size] == read[length - size])]
            if not len(ends):
                break
            found, self._size = int(ends[-1]), size
        return found

    def _take_in(self) -> None:
        if len(self.tokens) > len(self._read):
            self._read = np.concatenate((self._read, np.empty(len(self.tokens), np.int64)))
        self._read[self._length : len(self.tokens)] = self.tokens[self._length :]
        self._length = len(self.tokens)


def _chances(first: Mapping[int, float]) -> Chances:
    return {size: Acceptance(chance) for size, chance in first.items()}

"""How often a sequence has each token: what penalties ask for at each of its draws."""

from __future__ import annotations

from array import array
from collections.abc import Sequence as Ordered

import numpy as np

from parley_worker.scheduler.batch import Ints


class TokenCounts:
    """Counts the tokens of one sequence as they come: what was counted once is not read again."""

    def __init__(self, prompt: int) -> None:
        """prompt: how many tokens the prompt has. What comes after them is the answer."""
        self._prompt, self._counted = prompt, 0
        self._places: dict[int, int] = {}
        self._ids, self._answered = array("q"), array("q")

    def count(self, tokens: Ordered[int]) -> tuple[Ints, Ints]:
        """Each id among `tokens` once, and how often the answer has it: int64 [n] both, of the caller.

        The tokens are those of the call before and what has come since.
        """
        for place, token in enumerate(tokens[self._counted :], self._counted):
            found = self._places.setdefault(token, len(self._ids))
            if found == len(self._ids):
                self._ids.append(token)
                self._answered.append(0)
            self._answered[found] += place >= self._prompt
        self._counted = len(tokens)
        return np.array(self._ids, np.int64), np.array(self._answered, np.int64)

    def copy(self) -> TokenCounts:
        """Counts that go on from here on their own, as with tokens that are only guessed."""
        twin = TokenCounts(self._prompt)
        twin._counted, twin._places = self._counted, self._places.copy()
        twin._ids, twin._answered = self._ids[:], self._answered[:]
        return twin

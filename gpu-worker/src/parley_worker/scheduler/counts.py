"""How often a sequence has each token: what penalties ask for at each of its draws."""

from __future__ import annotations

from array import array
from collections.abc import Sequence as Ordered

import numpy as np

from parley_worker.scheduler.batch import Ints


class TokenCounts:
    """Counts the tokens of one sequence as they come: what was counted once is not read again.

    ids: each id that was there, once. answered: how often the answer has it. Both of type q; they grow in `add`.
    """

    def __init__(self, prompt: int) -> None:
        """prompt: how many tokens the prompt has. What comes after them is the answer."""
        self._prompt, self._counted = prompt, 0
        self._places: dict[int, int] = {}
        self.ids, self.answered = array("q"), array("q")

    def add(self, tokens: Ordered[int]) -> None:
        """Count `tokens`: those of the call before and what has come since."""
        for place, token in enumerate(tokens[self._counted :], self._counted):
            found = self._places.setdefault(token, len(self.ids))
            if found == len(self.ids):
                self.ids.append(token)
                self.answered.append(0)
            self.answered[found] += place >= self._prompt
        self._counted = len(tokens)

    def count(self, tokens: Ordered[int]) -> tuple[Ints, Ints]:
        """Each id among `tokens` once, and how often the answer has it, once these are counted: copies, int64 [n]."""
        self.add(tokens)
        return np.array(self.ids, np.int64), np.array(self.answered, np.int64)

    def copy(self) -> TokenCounts:
        """Counts that go on from here on their own, as with tokens that are only guessed."""
        twin = TokenCounts(self._prompt)
        twin._counted, twin._places = self._counted, self._places.copy()
        twin.ids, twin.answered = self.ids[:], self.answered[:]
        return twin

"""Whether drafts pay: how likely they are right, against what their rows cost."""

from __future__ import annotations

from dataclasses import dataclass

_LEARNING_RATE = 0.15
_WORTH = 1.02  # less is within what a step's time varies by itself
_CREDIT_ROWS = 32.0
_FIRST_PAUSE, _LONGEST_PAUSE = 16, 1024


@dataclass(slots=True)
class Acceptance:
    """The chance that the next token of a draft is right when those before it are: a moving average."""

    chance: float

    def learn(self, accepted: bool) -> None:
        self.chance += _LEARNING_RATE * (accepted - self.chance)

    def best_length(self, row_cost: float, limit: int) -> int:
        """How long a draft brings the most tokens in a time, from 0 (it does not pay) to `limit`.

        A step of k drafted rows takes 1 + k * row_cost and brings 1 + chance + ... + chance ** k tokens.
        """
        best, most, tokens, likely = 0, _WORTH, 1.0, 1.0
        for length in range(1, limit + 1):
            likely *= self.chance
            tokens += likely
            rate = tokens / (1 + length * row_cost)
            if rate > most:
                best, most = length, rate
        return best


class Credit:
    """Bounds what drafts may lose, whatever the odds seemed to be.

    In rows: a drafted one costs 1, an accepted one brings the 1 / row_cost of the step that it saves. When all is lost,
    drafts rest for 16, 32, ... 1,024 steps, and then get half of the first credit. So drafts that are never right take
    32 rows, and 16 more each time.
    """

    def __init__(self) -> None:
        self._rows = _CREDIT_ROWS
        self._pause, self._resting = _FIRST_PAUSE, 0

    def allows(self) -> bool:
        """Whether a draft may be run now. One call for each, as rests are counted in them."""
        resting = self._resting > 0
        self._resting -= resting
        return not resting

    def settle(self, proposed: int, accepted: int, row_cost: float) -> None:
        self._rows = min(_CREDIT_ROWS, self._rows - proposed + accepted / row_cost)
        if self._rows >= _CREDIT_ROWS:
            self._pause = _FIRST_PAUSE
        if self._rows < 1:
            self._rows = _CREDIT_ROWS / 2
            self._resting, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE)


class RowCost:
    """What one more row adds to a step that decodes, as a part of that step; learned from steps with and without."""

    def __init__(self, share: float) -> None:
        self.share = share
        self._plain: dict[int, float] = {}

    def learn(self, sequences: int, drafted: int, seconds: float) -> None:
        """A step of nothing but `sequences` decoding ones took `seconds` with `drafted` rows more."""
        plain = self._plain.get(sequences)
        if not drafted:
            self._plain[sequences] = seconds if plain is None else plain + _LEARNING_RATE * (seconds - plain)
        elif plain:
            share = (seconds / plain - 1) / drafted
            self.share += _LEARNING_RATE * (min(1.0, max(0.01, share)) - self.share)

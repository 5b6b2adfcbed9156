"""The port to whoever guesses the next tokens of a sequence."""

from __future__ import annotations

from typing import Protocol


class Proposer(Protocol):
    """Drafts of what comes next, computed in the same step as the token before: cheap when right, wasted rows if not.

    A draft never changes an answer: a token counts only where it was drawn, so a proposer may be wrong as it likes.
    streams: with more sequences decoding than this, drafts take the rows of others and are not asked for.
    """

    streams: int

    def propose(self, tokens: list[int], limit: int) -> list[int]:
        """At most `limit` tokens that may follow `tokens`; [] for no guess, and whenever `limit` is under 1.

        `tokens` is the sequence's own list, prompt and answer: the same object at each call for the same sequence, by
        which the proposer knows what it has read of it. It is read now and at later calls, and never changed.
        """
        ...

    def observe(self, proposed: int, accepted: int) -> None:
        """What became of one proposal: of `proposed` tokens the first `accepted` were drawn."""
        ...

"""How the prompts share what a step has left for them."""

from __future__ import annotations

from collections.abc import Sequence as Ordered


def share_tokens(pending: Ordered[int], budget: int) -> list[int]:
    """How many of `budget` tokens go to each prompt, by the tokens that it lacks; the first is the oldest.

    The oldest gets half at least, so that it does not starve. What is left goes to those with the least to compute,
    which gives the shortest mean time to the first token (shortest remaining processing time first).
    """
    shares = [0] * len(pending)
    if pending:
        shares[0] = min(pending[0], (budget + 1) // 2)
    left = budget - sum(shares)
    for index in sorted(range(len(pending)), key=lambda index: pending[index] - shares[index]):
        more = min(pending[index] - shares[index], left)
        shares[index] += more
        left -= more
    return shares

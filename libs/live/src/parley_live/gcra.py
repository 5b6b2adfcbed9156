"""The generic cell rate algorithm in whole numbers, so that a limit of 3 admits 3 and not 2.999."""

from __future__ import annotations

from parley_kit.errors import BadInput
from parley_live.base import Rate

MICROSECONDS = 1_000_000


def check(rate: Rate, cost: int) -> None:
    """Raises BadInput for a cost that `rate` can never admit."""
    if not 1 <= cost <= rate.limit:
        raise BadInput(f"a cost of {cost} is never admitted at {rate.limit} in {rate.seconds} s", field="cost")


def take(due: int, now: int, rate: Rate, cost: int) -> tuple[int, int]:
    """The bucket after asking for `cost` at `now` (µs), and the wait (µs): 0 when admitted, else nothing was taken.

    `due` is when the bucket is full again, in µs times `rate.limit`: in that unit one admission costs a whole number.
    A bucket that was never used is due at 0.
    """
    check(rate, cost)
    price = round(rate.seconds * MICROSECONDS)
    start = now * rate.limit
    after = max(due, start) + cost * price
    excess = after - start - rate.limit * price
    return (after, 0) if excess <= 0 else (due, -(-excess // rate.limit))

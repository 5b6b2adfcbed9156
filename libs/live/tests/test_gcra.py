"""The arithmetic of the rate limits, against a bucket of whole tokens that is filled microsecond by microsecond."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from parley_live import Rate
from parley_live.gcra import MICROSECONDS, take

CALLS = st.lists(st.tuples(st.integers(0, 3 * MICROSECONDS), st.integers(1, 7)), max_size=40)


class Bucket:
    """The model: `level` tokens, as an exact fraction, filled at the rate and never above the limit."""

    def __init__(self, rate: Rate) -> None:
        self.limit = rate.limit
        self.per_microsecond = Fraction(rate.limit) / round(rate.seconds * MICROSECONDS)
        self.level = Fraction(rate.limit)

    def fill(self, microseconds: int) -> None:
        self.level = min(Fraction(self.limit), self.level + microseconds * self.per_microsecond)

    def take(self, cost: int) -> bool:
        if self.level < cost:
            return False
        self.level -= cost
        return True


@given(limit=st.integers(7, 50), seconds=st.floats(0.001, 5.0), calls=CALLS)
def test_admits_exactly_what_the_model_admits(limit: int, seconds: float, calls: list[tuple[int, int]]) -> None:
    rate, due, now = Rate(limit, seconds), 0, 0
    bucket = Bucket(rate)
    for passed, cost in calls:
        now += passed
        bucket.fill(passed)
        due, wait = take(due, now, rate, cost)
        assert (wait == 0) == bucket.take(cost)


@given(limit=st.integers(7, 50), seconds=st.floats(0.001, 5.0), calls=CALLS)
def test_the_wait_is_the_shortest_that_is_enough(limit: int, seconds: float, calls: list[tuple[int, int]]) -> None:
    rate, due, now = Rate(limit, seconds), 0, 0
    for passed, cost in calls:
        now += passed
        due, wait = take(due, now, rate, cost)
        if wait:
            assert take(due, now + wait, rate, cost)[1] == 0
            assert take(due, now + wait - 1, rate, cost)[1] == 1


def test_thirds_admit_three() -> None:
    due, rate = 0, Rate(3, 1.0)
    waits = []
    for _ in range(4):
        due, wait = take(due, 123_456_789, rate, 1)
        waits.append(wait)
    assert waits == [0, 0, 0, 333_334]

"""How prompts share a step."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parley_worker.scheduler.shares import share_tokens


def test_the_oldest_gets_half_and_the_shortest_come_first_with_the_rest() -> None:
    assert share_tokens([1000, 300, 20], 100) == [50, 30, 20]


def test_what_others_do_not_need_the_oldest_gets() -> None:
    assert share_tokens([1000, 10], 100) == [90, 10]


def test_what_the_oldest_does_not_need_others_get() -> None:
    assert share_tokens([10, 1000, 50], 100) == [10, 40, 50]


def test_an_oldest_that_is_nearly_done_is_done() -> None:
    assert share_tokens([60, 50], 100) == [60, 40]


def test_a_single_token_goes_to_the_oldest() -> None:
    assert share_tokens([5, 1], 1) == [1, 0]
    assert share_tokens([], 8) == []


@given(st.lists(st.integers(1, 200), min_size=1, max_size=9), st.integers(1, 300))
def test_nothing_is_left_over_and_nobody_gets_more_than_he_lacks(pending: list[int], budget: int) -> None:
    shares = share_tokens(pending, budget)
    assert sum(shares) == min(budget, sum(pending))
    assert all(0 <= share <= lack for share, lack in zip(shares, pending, strict=True))
    assert shares[0] >= min(pending[0], budget / 2)

"""What may be committed, against a plain model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_bus.kafka.window import Window


def handed(*offsets: int) -> Window:
    window = Window()
    for offset in offsets:
        assert window.hand_out(offset)
    return window


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_the_position_is_the_lowest_unsettled(offsets: set[int], settled: set[int]) -> None:
    window = handed(*sorted(offsets))
    for offset in settled:
        assert window.settle(offset) == (offset in offsets)
    owed = offsets - settled
    assert window.position == (min(owed) if owed else max(offsets) + 1 if offsets else None)


@given(st.integers(1, 10), st.integers(0, 20), st.integers(0, 9))
def test_what_is_delivered_again_is_handed_out_once(count: int, settled: int, committed: int) -> None:
    window = handed(*range(count))
    window.settle(settled)
    window.reread()
    assert not any(window.hand_out(offset) for offset in range(min(committed, count), count))
    assert window.hand_out(count)


def test_nothing_is_settled_twice() -> None:
    window = handed(0)
    assert window.settle(0)
    assert not window.settle(0)


@pytest.mark.parametrize(("committed", "position"), [(0, 1), (1, 1), (2, 3), (3, 3), (9, 9)])
def test_what_the_group_has_settled_meanwhile_is_no_longer_owed(committed: int, position: int) -> None:
    """1 and 3 are in hand; the position never goes back behind what is committed."""
    window = handed(0, 1, 2, 3)
    window.settle(0)
    window.settle(2)
    window.rebase(committed)
    assert window.position == position


def test_a_topic_made_anew_begins_anew() -> None:
    """Kafka goes back without a rebalance: what was in hand has gone with the old topic."""
    window = handed(7, 8)
    assert window.hand_out(0)
    assert window.position == 0
    assert not window.settle(8)

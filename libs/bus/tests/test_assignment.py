from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parley_bus.memory.assignment import share


@st.composite
def holdings(draw: st.DrawFn) -> tuple[int, list[set[int]]]:
    """Partitions, each held by one of the members or by nobody."""
    partitions = draw(st.integers(1, 12))
    members = draw(st.integers(1, 6))
    owners = draw(st.lists(st.integers(-1, members - 1), min_size=partitions, max_size=partitions))
    return partitions, [{index for index, owner in enumerate(owners) if owner == member} for member in range(members)]


@given(holdings())
def test_every_partition_has_one_owner_and_shares_are_even(case: tuple[int, list[set[int]]]) -> None:
    partitions, held = case
    shares = share(partitions, held)
    assert sorted(index for mine in shares for index in mine) == list(range(partitions))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(holdings())
def test_a_member_keeps_all_that_its_share_leaves_room_for(case: tuple[int, list[set[int]]]) -> None:
    partitions, held = case
    for before, after in zip(held, share(partitions, held), strict=True):
        assert len(before & after) == min(len(before), len(after))

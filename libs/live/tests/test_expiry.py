from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parley_kit.clock import ManualClock
from parley_live.memory.expiry import ExpiringMap

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("abc"), st.integers(-1, 9)),
        st.tuples(st.just("advance"), st.just(""), st.integers(0, 5)),
    ),
    max_size=60,
)


@given(STEPS)
def test_holds_exactly_what_lives(steps: list[tuple[str, str, int]]) -> None:
    """Against the plain model: put again may prolong or shorten; expired at its time, not after it."""
    clock = ManualClock()
    kept: ExpiringMap[int] = ExpiringMap(clock)
    expires: dict[str, tuple[float, int]] = {}
    for index, (what, key, seconds) in enumerate(steps):
        if what == "put":
            kept.put(key, index, seconds)
            expires[key] = (clock.monotonic() + seconds, index)
        else:
            clock.advance(seconds)
        alive = {name: value for name, (until, value) in expires.items() if until > clock.monotonic()}
        assert {name: kept.get(name) for name in "abc" if kept.get(name) is not None} == alive
        assert len(kept) == len(alive)
        assert all(kept.remaining(name) == max(0, expires[name][0] - clock.monotonic()) for name in expires)


def test_changing_a_time_to_live_over_and_over_does_not_grow() -> None:
    clock = ManualClock()
    kept: ExpiringMap[int] = ExpiringMap(clock)
    for _ in range(100):
        for seconds in (9, 1, 9):
            kept.put("a", 0, seconds)
        clock.advance(1)
    assert len(kept._heap) <= 12


def test_what_was_shortened_and_is_gone_leaves_nothing_behind() -> None:
    """As a stream does: hours while it is written, minutes once it has ended."""
    clock = ManualClock()
    kept: ExpiringMap[int] = ExpiringMap(clock)
    for number in range(1000):
        kept.put(str(number), 0, 10_000)
        kept.put(str(number), 0, 5)
        clock.advance(1)
    assert len(kept) == 4
    assert len(kept._heap) < 50

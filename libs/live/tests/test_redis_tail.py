from __future__ import annotations

import pytest

from parley_live import End
from parley_live.redis.codec import Position
from parley_live.redis.tail import FRESH_SECONDS, LENGTH, Tail
from parley_live.testing.harness import deltas, values

ALL = deltas(list("abcdefghij") * 4)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("parley_live.redis.tail.monotonic", lambda: now[0])
    return now


@pytest.fixture
def tail(now: list[float]) -> Tail:
    return Tail()


def after(tail: Tail, index: int, born: int = 7, most: int = 100) -> object:
    entries = tail.after(Position(born, index), most)
    return None if entries is None else values(entries)


def test_knows_nothing_at_first(tail: Tail) -> None:
    assert after(tail, 0) is None
    assert tail.after(Position(), 10) is None


def test_gives_what_follows_a_position(tail: Tail) -> None:
    tail.push(Position(7, 1), ALL[:2])
    tail.push(Position(7, 3), [ALL[2], End()])
    for index in range(5):
        assert after(tail, index) == [*ALL[:3], End()][index:]
    assert after(tail, 0, most=2) == ALL[:2]
    assert [entry.position for entry in tail.after(Position(7, 2), 9) or ()] == ["7-3", "7-4"]


def test_the_whole_of_a_stream_is_after_the_beginning(tail: Tail) -> None:
    tail.push(Position(7, 1), ALL[:2])
    assert after(tail, 0, born=0) == ALL[:2]


@pytest.mark.parametrize("born", [6, 8])
def test_does_not_know_which_of_two_streams_is_the_newer(tail: Tail, born: int) -> None:
    """A reader may have asked the stream itself, and be further than the pushes are."""
    tail.push(Position(7, 1), ALL[:2])
    assert after(tail, 5, born=born) is None


def test_does_not_know_what_was_pushed_before_it_listened(tail: Tail) -> None:
    tail.push(Position(7, 4), ALL[3:5])
    assert after(tail, 2) is None
    assert after(tail, 0, born=6) is None
    assert after(tail, 3) == ALL[3:5]


def test_keeps_the_newest(tail: Tail) -> None:
    tail.push(Position(7, 1), ALL)
    assert after(tail, len(ALL) - LENGTH - 1) is None
    assert after(tail, len(ALL) - LENGTH) == ALL[-LENGTH:]


@pytest.mark.parametrize("next_", [Position(7, 4), Position(7, 2), Position(8, 3), Position(8, 1)])
def test_begins_again_after_a_hole(tail: Tail, next_: Position) -> None:
    """An entry that was missed, or another stream: what was before it is not known any more."""
    tail.push(Position(7, 1), ALL[:2])
    tail.push(next_, ALL[5:6])
    assert after(tail, next_.index - 1, born=next_.born) == ALL[5:6]
    assert after(tail, 0, born=7) is None
    assert after(tail, 9, born=0) == (ALL[5:6] if next_.index == 1 else None)


def test_is_asked_only_while_it_is_fresh(tail: Tail, now: list[float]) -> None:
    """The stream may have come to the end of its life since."""
    tail.push(Position(7, 1), ALL[:2])
    now[0] += FRESH_SECONDS * 0.9
    assert after(tail, 2) == []
    now[0] += FRESH_SECONDS * 0.2
    assert after(tail, 2) is None
    tail.push(Position(7, 3), ALL[2:3])
    assert after(tail, 2) == ALL[2:3]


def test_forgets_when_something_may_have_been_missed(tail: Tail) -> None:
    tail.push(Position(7, 1), ALL[:2])
    tail.clear()
    assert after(tail, 2) is None

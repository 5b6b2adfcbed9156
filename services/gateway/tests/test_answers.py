"""What a reader of an answer is told, without any transport."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_gateway.answers.cursor import Cursor, Gap, joined
from parley_gateway.answers.events import Restarted, Text
from parley_live.base import Delta


def pieces(text: str, cuts: list[int], attempt: int = 1, began: int = 1) -> list[Delta]:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    return [Delta(attempt, began, start, text[start:stop]) for start, stop in itertools.pairwise(edges) if text]


@given(st.text(max_size=30), st.lists(st.integers(0, 30)), st.lists(st.integers(0, 30)), st.integers(0, 40))
def test_every_code_point_once_and_in_order(text: str, cuts: list[int], reads: list[int], after: int) -> None:
    """However the answer was cut into pieces and batches, a reader has it whole."""
    deltas = pieces(text, cuts)
    edges = sorted({0, len(deltas), *(read for read in reads if read < len(deltas))})
    cursor = Cursor(after, None)
    held = text[:after]
    for start, stop in itertools.pairwise(edges):
        for piece in joined(deltas[start:stop]):
            for event in cursor.take(piece):
                assert isinstance(event, Text)
                assert event.text
                assert event.offset == max(after, len(held))
                held += event.text
    assert held == text


def test_text_begun_anew_replaces_the_old() -> None:
    cursor = Cursor(0, None)
    assert list(cursor.take(Delta(1, 1, 0, "old"))) == [Text(0, "old", 1)]
    assert list(cursor.take(Delta(3, 3, 0, "new"))) == [Restarted(3), Text(0, "new", 3)]
    assert list(cursor.take(Delta(4, 3, 3, "er"))) == [Text(3, "er", 4)]


def test_text_that_was_lost_for_good_is_taken_back() -> None:
    cursor = Cursor(0, None)
    assert list(cursor.drop(1)) == []
    assert list(cursor.take(Delta(1, 1, 0, "lost"))) == [Text(0, "lost", 1)]
    assert list(cursor.drop(2)) == [Restarted(2)]
    assert list(cursor.drop(2)) == []


def test_a_gap_is_never_passed_over() -> None:
    cursor = Cursor(0, None)
    assert list(cursor.take(Delta(1, 1, 0, "ab"))) == [Text(0, "ab", 1)]
    with pytest.raises(Gap):
        list(cursor.take(Delta(1, 1, 3, "d")))


def test_pieces_of_different_attempts_stay_apart() -> None:
    deltas = [Delta(1, 1, 0, "a"), Delta(1, 1, 1, "b"), Delta(2, 1, 2, "c"), Delta(2, 1, 4, "e")]
    assert list(joined(deltas)) == [Delta(1, 1, 0, "ab"), Delta(2, 1, 2, "c"), Delta(2, 1, 4, "e")]

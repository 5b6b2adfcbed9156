"""What the SQLite adapters make of values: columns and back, and words."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from parley_conversation.adapters.sqlite.codec import from_outbox, to_instant, to_outbox, to_seconds
from parley_conversation.domain.generation import AppendMessage
from parley_conversation.domain.words import LONGEST_WORD, words_of
from parley_conversation.testing.harness import message

INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - of UTC


@given(INSTANTS, INSTANTS)
def test_instants_come_back_and_keep_their_order(one: datetime, other: datetime) -> None:
    seconds, later = to_seconds(one), to_seconds(other)
    assert seconds is not None
    assert later is not None
    assert to_instant(seconds) == one
    assert (seconds < later) == (one < other)


@given(st.text())
def test_a_debt_comes_back_with_its_message(content: str) -> None:
    outbox = (AppendMessage("1", message("2", 3, content, parent_seq=2)),)
    assert to_outbox(from_outbox(outbox)) == outbox


@given(st.text())
def test_words_hold_letters_and_digits_alone(text: str) -> None:
    """So a word can neither end a quoted phrase nor be cut again by FTS5."""
    for word in words_of(text):
        assert word.isalnum()
        assert 0 < len(word) <= LONGEST_WORD


@given(st.text())
def test_words_of_words_are_the_same(text: str) -> None:
    """Folding is done once and for all."""
    words = words_of(text)
    assert words_of(" ".join(words)) == words


def test_words_are_folded() -> None:
    assert words_of("  Don't STOP, Ünïcode_42! ") == ["don", "t", "stop", "unicode", "42"]
    assert words_of("ガラス \uff26\uff55\uff4c\uff4c ﬁne") == ["ガ", "ラ", "ス", "full", "fine"]
    assert words_of("東京 2020年 안녕") == ["東", "京", "2020", "年", "안", "녕"]

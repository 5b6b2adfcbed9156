"""Stop strings are found however the text is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_worker.core import Prefix
from parley_worker.text.answer import AnswerText
from parley_worker.text.stops import StopFinder

TEXT = "one two\n\nthree STOP four"


class Characters:
    """Each token is one character, by its code point."""

    def push(self, token_id: int) -> str:
        return chr(token_id)

    def flush(self) -> str:
        return ""


def feed(finder: StopFinder, pieces: list[str]) -> str:
    return "".join(finder.push(piece) for piece in pieces) + finder.flush()


@pytest.mark.parametrize("first", range(len(TEXT) + 1))
@pytest.mark.parametrize("stops", [("STOP",), ("\n\n", "STOP"), ("three STOP", "STOP f")])
def test_found_at_every_split(first: int, stops: tuple[str, ...]) -> None:
    expected = TEXT[: min(at for stop in stops if (at := TEXT.find(stop)) >= 0)]
    for second in range(first, len(TEXT) + 1):
        finder = StopFinder(stops)
        assert feed(finder, [TEXT[:first], TEXT[first:second], TEXT[second:]]) == expected
        assert finder.found


@given(st.text("ab", max_size=30), st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3))
def test_text_without_a_stop_string_comes_out_whole_and_nothing_of_one_is_ever_shown(
    text: str, stops: list[str]
) -> None:
    finder = StopFinder(tuple(stops))
    shown = ""
    for character in text:
        shown += finder.push(character)
        assert not any(stop in shown for stop in stops)
    shown += finder.flush()
    assert finder.found == any(stop in text for stop in stops)
    assert text.startswith(shown)
    if not finder.found:
        assert shown == text


def test_only_what_could_become_a_stop_string_is_held_back() -> None:
    finder = StopFinder(("abc",))
    assert [finder.push(character) for character in "xababd"] == ["x", "", "", "ab", "", "abd"]


@pytest.mark.parametrize("tokens", range(len(TEXT)))
def test_a_resumed_answer_says_the_rest(tokens: int) -> None:
    ids = tuple(map(ord, TEXT))
    first = AnswerText(Characters(), ("STOP",))
    streamed = "".join(map(first.push, ids[:tokens]))
    held_by_readers = streamed[: max(0, len(streamed) - 3)]
    second = AnswerText(Characters(), ("STOP",))
    rest = second.resume(Prefix(ids[:tokens], held_by_readers))
    rest += "".join(map(second.push, ids[tokens:])) + second.flush()
    assert held_by_readers + rest == "one two\n\nthree "


def test_text_that_the_tokens_do_not_say_is_refused() -> None:
    with pytest.raises(ValueError, match="resume"):
        AnswerText(Characters()).resume(Prefix((ord("a"),), "b"))

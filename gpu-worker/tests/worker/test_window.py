"""A conversation is cut to the window from its oldest end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parley_worker.core import ChatMessage
from parley_worker.window import Messages, fit, room_for_prompt

OVERHEAD = 4


class Counter:
    """A token a character, and the template's for each message."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, messages: Messages) -> int:
        self.calls += 1
        return sum(len(message.content) + OVERHEAD for message in messages)


def chat(*contents: str, system: str | None = None) -> Messages:
    turns = [ChatMessage("user" if index % 2 == 0 else "assistant", content) for index, content in enumerate(contents)]
    return (*([ChatMessage("system", system)] if system is not None else []), *turns)


def test_what_fits_stays_whole() -> None:
    messages = chat("one", "two", "three")
    assert fit(messages, Counter(), room=100) == messages


def test_the_oldest_turns_go_and_the_system_prompt_stays() -> None:
    messages = chat("old question", "old answer", "question", system="Be kind.")
    assert fit(messages, Counter(), room=30) == chat("question", system="Be kind.")


def test_what_is_left_begins_with_a_user() -> None:
    messages = chat("a" * 50, "b", "c", "d", "e")
    assert fit(messages, Counter(), room=5 * (OVERHEAD + 1)) == messages[2:]


def test_a_last_message_that_is_too_long_keeps_its_end() -> None:
    assert fit(chat("x" * 100 + "the end"), Counter(), room=OVERHEAD + 7) == chat("the end")


def test_a_system_prompt_that_fills_the_window_is_shortened() -> None:
    system, last = fit(chat("question", system="s" * 1000), Counter(), room=40)
    assert (system.role, set(system.content), last.content) == ("system", {"s"}, "question")


def test_the_answer_gets_what_it_asks_for_up_to_a_quarter_of_the_window() -> None:
    assert room_for_prompt(1000, 10) == 990
    assert room_for_prompt(1000, None) == room_for_prompt(1000, 10_000) == 750


@given(
    contents=st.lists(st.text(min_size=1, max_size=300), min_size=1, max_size=60),
    system=st.none() | st.text(min_size=1, max_size=300),
    room=st.integers(min_value=20, max_value=4000),
)
def test_the_newest_end_fits_after_few_counts(contents: list[str], system: str | None, room: int) -> None:
    messages, counter = chat(*contents, system=system), Counter()
    fitted = fit(messages, counter, room)
    assert Counter()(fitted) <= room
    assert counter.calls <= 40
    assert fitted[-1].content
    assert contents[-1].endswith(fitted[-1].content) or fitted[-1].role != "user"
    turns = [message for message in fitted if message.role != "system"]
    assert len(turns) == 1 or tuple(turns) == messages[-len(turns) :]


@given(
    contents=st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=40).filter(lambda turns: len(turns) % 2),
    room=st.integers(min_value=60, max_value=800),
)
def test_no_more_is_cut_than_must_be(contents: list[str], room: int) -> None:
    messages = chat(*contents)
    fitted = fit(messages, Counter(), room)
    if len(fitted) < len(messages):
        assert Counter()(messages[-len(fitted) - 2 :]) > room

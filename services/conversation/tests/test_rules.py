"""The pure rules: sizes and ranges, titles, the context's cut, cursors, the sweep's verdicts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_conversation.cursor import (
    conversation_cursor,
    message_cursor,
    parse_conversation_cursor,
    parse_message_cursor,
)
from parley_conversation.domain import rules
from parley_conversation.domain.context import assemble, room
from parley_conversation.domain.conversation import Conversation, Message, Role
from parley_conversation.domain.generation import Generation, Parameters, State
from parley_conversation.domain.title import WIDTH, derive_title, shown_title
from parley_conversation.domain.verdict import Patience, Verdict, judge
from parley_conversation.endings import streamed
from parley_kit.errors import BadInput
from parley_kit.ids import new_id
from parley_live import Delta

START = datetime(2026, 1, 1, tzinfo=UTC)
SIZES = rules.Sizes()


@pytest.mark.parametrize("content", ["", " \n\t\u00a0\u3000", "x" * 100_001, "\ud800"])
def test_content_that_is_refused(content: str) -> None:
    with pytest.raises(BadInput) as refused:
        rules.check_content(content, SIZES)
    assert refused.value.field == "content"


@pytest.mark.parametrize("content", ["x" * 100_000, "😀" * 100_000, " x ", "\0", "0"])
def test_content_that_is_taken(content: str) -> None:
    rules.check_content(content, SIZES)


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        (Parameters(max_tokens=0), "maxTokens"),
        (Parameters(max_tokens=rules.MAX_TOKENS + 1), "maxTokens"),
        (Parameters(temperature=-0.1), "temperature"),
        (Parameters(temperature=2.1), "temperature"),
        (Parameters(temperature=float("nan")), "temperature"),
        (Parameters(temperature=float("inf")), "temperature"),
        (Parameters(top_p=1.01), "topP"),
        (Parameters(top_k=-1), "topK"),
        (Parameters(stop=("a",) * 9), "stop"),
        (Parameters(stop=("",)), "stop"),
        (Parameters(stop=("x" * 1_001,)), "stop"),
    ],
)
def test_parameters_out_of_range_name_the_field(parameters: Parameters, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        rules.check_parameters(parameters)
    assert refused.value.field == field


def test_parameters_at_their_borders_are_taken() -> None:
    rules.check_parameters(Parameters(10_000, 2.0, 0.0, 0, -1, ("a",) * 8))
    rules.check_parameters(Parameters(1, 0.0, 1.0, 2**31 - 1, 2**31 - 1))


@pytest.mark.parametrize("size", [0, -1, 201])
def test_a_page_has_1_to_200_entries(size: int) -> None:
    with pytest.raises(BadInput):
        rules.check_page(size, "first")


@pytest.mark.parametrize("request_id", ["", "x" * 65])
def test_a_request_id_has_1_to_64_characters(request_id: str) -> None:
    with pytest.raises(BadInput):
        rules.check_request_id(request_id)


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("Hello", "Hello"),
        ("  How\n do\tI  cook rice? ", "How do I cook rice?"),
        ("word " * 30, " ".join(["word"] * 12) + "…"),
        ("sentence " * 30, " ".join(["sentence"] * 6) + "…"),
        ("x" * 100, "x" * 59 + "…"),
    ],
)
def test_titles_are_the_first_words(content: str, title: str) -> None:
    assert derive_title(content) == title


@given(st.text(min_size=1))
def test_a_title_is_one_line_of_at_most_60_characters(content: str) -> None:
    title = derive_title(content)
    assert len(title) <= WIDTH
    assert title == " ".join(title.split())


def test_an_untitled_conversation_shows_a_name() -> None:
    assert shown_title("") == "New conversation"


def _message(seq: int, content: str, role: Role = Role.USER) -> Message:
    return Message("c", seq, f"m{seq}", role, content, seq - 1 or None, None, START)


async def _each(messages: Sequence[Message]) -> AsyncIterator[Message]:
    for message in messages:
        yield message


async def _assembled(system: str | None, contents: Sequence[str], characters: int) -> list[str]:
    newest_first = [_message(seq, content) for seq, content in enumerate(contents, 1)][::-1]
    return [prompt.content for prompt in await assemble(system, _each(newest_first), characters)]


async def test_the_context_is_oldest_first_after_the_system_prompt() -> None:
    assert await _assembled("Be kind.", ["one", "two", "three"], 100) == ["Be kind.", "one", "two", "three"]


async def test_the_context_is_cut_from_its_oldest_end() -> None:
    assert await _assembled("S", ["aaaa", "bbbb", "cccc"], 9) == ["S", "bbbb", "cccc"]


async def test_a_single_message_over_the_room_keeps_its_newest_part() -> None:
    assert await _assembled(None, ["old", "0123456789"], 4) == ["6789"]


@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=8), st.integers(2, 60), st.text(max_size=80))
async def test_the_context_fits_and_ends_with_the_question(contents: list[str], characters: int, system: str) -> None:
    prompts = await _assembled(system or None, contents, characters)
    assert sum(map(len, prompts)) <= characters
    assert contents[-1].endswith(prompts[-1])
    assert prompts[-1]


def test_no_prompt_outgrows_a_bus_record() -> None:
    assert room(10_000_000) * 4 < 1_000_000


def test_conversation_cursors_come_back_exactly() -> None:
    at = datetime(2026, 5, 4, 3, 2, 1, 987_654, tzinfo=UTC)
    conversation = Conversation(new_id(), "o", "t", "m", None, False, at, at)
    assert parse_conversation_cursor(conversation_cursor(conversation)) == (at, conversation.id)


def test_message_cursors_name_the_parent() -> None:
    assert parse_message_cursor(message_cursor(_message(7, "x")), "c") == 6
    assert parse_message_cursor(message_cursor(_message(1, "x")), "c") is None


PARSERS: list[Callable[[str], Any]] = [parse_conversation_cursor, lambda text: parse_message_cursor(text, "c")]


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize(
    "cursor", ["", "x", "é", "====", "bnVsbA", "WzFd", "W1tbW1tb", "WyJjIiwiMjAyNi0wMS0wMSIsIngiXQ", "e30", "////"]
)
def test_malformed_cursors_are_bad_input(parse: Callable[[str], Any], cursor: str) -> None:
    with pytest.raises(BadInput):
        parse(cursor)


@given(st.text(max_size=60))
def test_no_text_makes_a_cursor_parser_fail_otherwise(text: str) -> None:
    for parse in PARSERS:
        with pytest.raises(BadInput):
            parse(text)


def test_a_cursor_of_another_conversation_is_bad_input() -> None:
    with pytest.raises(BadInput):
        parse_message_cursor(message_cursor(_message(7, "x")), "another")


def test_streamed_text_follows_a_restart() -> None:
    deltas = [Delta(1, 1, 0, "Hel"), Delta(1, 1, 3, "lo"), Delta(2, 2, 0, "A"), Delta(2, 2, 1, "new")]
    assert streamed(deltas, 9) == ("Anew", 2)
    assert streamed([], 9) == ("", 9)


GENERATION = Generation(
    id="g",
    conversation_id="c",
    owner_id="o",
    request_id=None,
    model="m",
    parameters=Parameters(),
    user_seq=1,
    user_message_id="u",
    answer_seq=2,
    answer_id="a",
    created_at=START,
    deadline=START + timedelta(minutes=10),
    queued_at=START,
)


@pytest.mark.parametrize(
    ("changes", "seconds", "verdict"),
    [
        ({}, 2.9, Verdict.WAIT),
        ({}, 3, Verdict.REQUEST_AGAIN),
        ({"queued_at": START + timedelta(seconds=20)}, 39, Verdict.WAIT),
        ({"queued_at": START + timedelta(seconds=20)}, 40, Verdict.REQUEST_AGAIN),
        ({"queued_at": START + timedelta(seconds=200)}, 229, Verdict.WAIT),
        ({"queued_at": START + timedelta(seconds=200)}, 230, Verdict.REQUEST_AGAIN),
        ({"state": State.RUNNING, "attempt": 1, "lease_until": START + timedelta(seconds=6)}, 5.9, Verdict.WAIT),
        ({"state": State.RUNNING, "attempt": 1, "lease_until": START + timedelta(seconds=6)}, 6, Verdict.REQUEUE),
        ({"state": State.RUNNING, "attempt": 3, "lease_until": START + timedelta(seconds=6)}, 6, Verdict.FAIL),
        ({"attempt": 3}, 1, Verdict.FAIL),
        ({"attempt": 9, "handed_back": 7}, 3, Verdict.REQUEST_AGAIN),
        ({"attempt": 9, "handed_back": 6}, 1, Verdict.FAIL),
        ({}, 600, Verdict.EXPIRE),
        ({"state": State.RUNNING, "attempt": 1, "lease_until": START + timedelta(seconds=606)}, 600, Verdict.EXPIRE),
        ({"cancel_requested_at": START}, 1.4, Verdict.WAIT),
        ({"cancel_requested_at": START}, 1.5, Verdict.CANCEL),
        ({"state": State.RUNNING, "attempt": 1, "cancel_requested_at": START}, 1, Verdict.WAIT),
        ({"cancel_requested_at": START}, 600, Verdict.CANCEL),
        ({"state": State.COMPLETED}, 600, Verdict.WAIT),
    ],
)
def test_verdicts(changes: dict[str, Any], seconds: float, verdict: Verdict) -> None:
    generation = replace(GENERATION, **changes)
    assert judge(generation, START + timedelta(seconds=seconds), Patience()) is verdict

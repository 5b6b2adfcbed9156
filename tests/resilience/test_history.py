"""The judge itself: a history that is well passes, and each way to break a promise is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.history import Acknowledged, History, Json, Reading, violations


def delta(offset: int, text: str) -> Json:
    return {"__typename": "TokenDelta", "offset": offset, "text": text, "attempt": 1}


def finished(state: str = "COMPLETED", content: str | None = "hello") -> Json:
    message = None if content is None else {"id": "a", "content": content}
    return {"__typename": "GenerationFinished", "state": state, "message": message}


def well() -> History:
    """One message, one answer, and a reader whose stream began again once."""
    question = {"id": "q", "role": "USER", "content": "hi", "generation": None}
    answer = {"id": "a", "role": "ASSISTANT", "content": "hello", "generation": {"id": "g"}}
    events = [delta(0, "he"), {"__typename": "GenerationRestarted", "attempt": 2}, delta(0, "hel"), delta(3, "lo")]
    return History(
        [Acknowledged("c", "hi", "q", "g")],
        [Reading("g", [*events, finished()]), Reading("g", [delta(0, "hello"), finished()])],
        {"c": [question, answer]},
        {"g": {"state": "COMPLETED"}},
    )


def test_a_history_that_is_well_passes() -> None:
    assert violations(well()) == []


def test_an_answer_of_which_nothing_was_made_is_well() -> None:
    history = well()
    history.messages["c"].pop()
    history.generations["g"]["state"] = "FAILED"
    history.readings[:] = [Reading("g", [finished("FAILED", None)])]
    assert violations(history) == []


def test_what_was_read_of_an_answer_that_failed_need_not_be_stored() -> None:
    history = well()
    history.messages["c"].pop()
    history.generations["g"]["state"] = "FAILED"
    history.readings[:] = [Reading("g", [delta(0, "he"), finished("FAILED", None)])]
    assert violations(history) == []


def reader(*events: Json) -> Callable[[History], Any]:
    return lambda history: history.readings.append(Reading("g", list(events)))


BAD: dict[str, tuple[str, Callable[[History], Any]]] = {
    "the message is lost": ("R1", lambda history: history.messages["c"].pop(0)),
    "the conversation is lost": ("R1", lambda history: history.messages.clear()),
    "the message is stored twice": ("R1", lambda history: history.messages["c"].append(history.messages["c"][0])),
    "it has another id": ("R1", lambda history: history.messages["c"][0].update(id="other")),
    "its text changed": ("R1", lambda history: history.messages["c"][0].update(content="hi ")),
    "the answer is stored twice": ("R1", lambda history: history.messages["c"].append(history.messages["c"][1])),
    "two messages, one generation": (
        "R1",
        lambda history: history.acknowledged.append(Acknowledged("c", "hello", "a", "g")),
    ),
    "no end": ("R2", lambda history: history.generations["g"].update(state="RUNNING")),
    "the generation is lost": ("R2", lambda history: history.generations.clear()),
    "two states": ("R2", reader(finished("FAILED"))),
    "a gap": ("R3", reader(delta(0, "he"), delta(3, "lo"), finished())),
    "an overlap": ("R3", reader(delta(0, "hell"), delta(3, "lo"), finished())),
    "a repetition": ("R3", reader(delta(0, "hello"), delta(0, "hello"), finished())),
    "a silent restart": ("R3", reader(delta(0, "he"), delta(0, "hello"), finished())),
    "an empty delta": ("R3", reader(delta(0, ""), delta(0, "hello"), finished())),
    "no end of the stream": ("R3", reader(delta(0, "hello"))),
    "two ends": ("R3", reader(delta(0, "hello"), finished(), finished())),
    "text after the end": ("R3", reader(delta(0, "hell"), finished(), delta(4, "o"))),
    "less than the end says": ("R3", reader(delta(0, "hell"), finished())),
    "an answer that no one stored": ("R3", reader(delta(0, "hello"), finished(content=None))),
    "another text than stored": ("R3", reader(delta(0, "help"), finished(content="help"))),
}


@pytest.mark.parametrize("name", BAD)
def test_each_broken_promise_is_seen(name: str) -> None:
    promise, spoil = BAD[name]
    history = well()
    spoil(history)
    assert promise in {told.split()[0] for told in violations(history)}

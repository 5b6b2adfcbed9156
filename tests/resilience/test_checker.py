"""The checker itself: histories that are well pass, and each hand-made bad one is refused for the reason it names."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos.checker import violations
from chaos.operation import BadHistory, Operation, Recorder, parse, read_history, to_line

HISTORIES = Path(__file__).parent / "histories"
GOOD = sorted((HISTORIES / "good").glob("*.jsonl"))
BAD = sorted((HISTORIES / "bad").glob("*.jsonl"))


def test_there_is_a_bad_history_for_each_promise_that_a_history_can_show() -> None:
    assert {path.stem.split("-")[0] for path in BAD} == {"R1", "R2", "R3", "R4", "R6", "R7", "R8", "R9", "order"}


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_history_that_is_well_passes(path: Path) -> None:
    assert violations(read_history(path)) == []


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_history_is_refused_for_its_reason(path: Path) -> None:
    operations = read_history(path)
    named = operations[0].value
    assert path.stem.startswith(named["refuse"])
    told = violations(operations)
    assert any(it.startswith(named["refuse"]) and named["because"] in it for it in told), told


def test_an_operation_survives_the_file() -> None:
    recorder = Recorder(lambda: 1.23456)
    recorder.record("client-1", "invoke", "fault", kind="kill", target="wörker\n-1")
    assert recorder.operations[0].time == 1.2346
    assert list(parse([to_line(recorder.operations[0])])) == recorder.operations


@pytest.mark.parametrize(
    "line", ["", "{", "[]", "{}", to_line(Operation(0.0, "p", "maybe", "send", {})), '{"time":1,"f":"send"}']
)
def test_a_line_that_is_no_operation_is_named(line: str) -> None:
    with pytest.raises(BadHistory, match="line 2"):
        list(parse([to_line(Operation(0.0, "p", "ok", "send", {})), line]))

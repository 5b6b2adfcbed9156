"""Admission, batching, ends and slots, without a model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_worker.core import FinishReason
from parley_worker.scheduler.request import Output, Request, Sampling
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.scheduler.step import Clear, Move, Step

GREEDY = Sampling(0.0, 0, 1.0, 1.0, 0)


def request(name: str, prompt: int = 3, max_tokens: int = 4, *, answered: int = 0, stop: int = 99) -> Request:
    return Request(name, tuple(range(prompt)), answered, max_tokens, frozenset({stop}), GREEDY)


def shape(step: Step) -> list[tuple[str, int, int]]:
    return [(segment.sequence.request.id, segment.slot, segment.length) for segment in step.segments]


def advance(scheduler: Scheduler, token: int | None = 7) -> list[Output]:
    step = scheduler.schedule()
    return scheduler.update(step, [token] * len(step.drawing))


def test_newcomers_join_the_steps_of_those_that_decode() -> None:
    scheduler = Scheduler(slots=4, window=32, step_tokens=16)
    scheduler.add(request("a"))
    advance(scheduler)
    scheduler.add(request("b", prompt=5))
    assert shape(scheduler.schedule()) == [("a", 0, 1), ("b", 1, 5)]


def test_a_long_prompt_is_cut_to_what_the_decoding_leave_of_the_budget() -> None:
    scheduler = Scheduler(slots=4, window=64, step_tokens=8)
    scheduler.add(request("a", max_tokens=20))
    advance(scheduler)
    scheduler.add(request("b", prompt=10))
    scheduler.add(request("c", prompt=10))
    shapes = []
    for _ in range(3):
        shapes.append(shape(scheduler.schedule())[1:])
        outputs = advance(scheduler)
    assert shapes == [[("b", 1, 7)], [("b", 1, 3), ("c", 2, 4)], [("b", 1, 1), ("c", 2, 6)]]
    assert [output.id for output in outputs] == ["a", "b", "c"]


def test_a_prompt_goes_on_even_when_the_decoding_use_up_the_budget() -> None:
    scheduler = Scheduler(slots=4, window=64, step_tokens=1)
    scheduler.add(request("a", prompt=1, max_tokens=20))
    advance(scheduler)
    scheduler.add(request("b", prompt=3))
    assert shape(scheduler.schedule()) == [("a", 0, 1), ("b", 1, 1)]


def test_requests_over_the_slots_wait_in_order_of_arrival() -> None:
    scheduler = Scheduler(slots=2, window=32, step_tokens=64)
    for name in "abcd":
        scheduler.add(request(name, max_tokens=1 if name == "a" else 3))
    assert [output.id for output in advance(scheduler)] == ["a", "b"]
    assert [name for name, _, _ in shape(scheduler.schedule())] == ["b", "c"]


def test_ends_by_stop_token_max_tokens_and_window() -> None:
    scheduler = Scheduler(slots=4, window=6, step_tokens=64)
    scheduler.add(request("stops", stop=7))
    scheduler.add(request("counts", max_tokens=2))
    scheduler.add(request("fills", max_tokens=100))
    ends = {}
    while not scheduler.idle:
        ends |= {output.id: output.finish_reason for output in advance(scheduler)}
    assert ends == {"stops": FinishReason.STOP, "counts": FinishReason.LENGTH, "fills": FinishReason.LENGTH}


def test_max_tokens_counts_what_was_answered_before() -> None:
    scheduler = Scheduler(slots=1, window=32, step_tokens=64)
    scheduler.add(request("a", prompt=6, answered=3, max_tokens=5))
    assert [advance(scheduler)[0].finish_reason for _ in range(2)] == [None, FinishReason.LENGTH]


def test_the_last_running_moves_into_a_slot_that_is_left() -> None:
    scheduler = Scheduler(slots=3, window=32, step_tokens=64)
    for name in "abc":
        scheduler.add(request(name))
    advance(scheduler)
    scheduler.abort("a")
    step = scheduler.schedule()
    assert step.edits == (Move(source=2, target=0, length=3),)
    assert shape(step) == [("c", 0, 1), ("b", 1, 1)]


def test_a_slot_that_may_hold_numbers_that_are_not_finite_is_cleared() -> None:
    scheduler = Scheduler(slots=2, window=32, step_tokens=4)
    scheduler.add(request("cut", prompt=9))
    advance(scheduler)
    scheduler.abort("cut")
    assert scheduler.schedule().edits == (Clear(0, 4),)
    scheduler.add(request("bad"))
    (output,) = advance(scheduler, token=None)
    assert output.token_id is None
    assert output.error
    assert scheduler.schedule().edits == (Clear(0, 3),)


@pytest.mark.parametrize("waiting", [False, True])
def test_abort_forgets_a_request_wherever_it_is(waiting: bool) -> None:
    scheduler = Scheduler(slots=1, window=32, step_tokens=64)
    if waiting:
        scheduler.add(request("first"))
        advance(scheduler)
    scheduler.add(request("gone"))
    scheduler.abort("gone")
    scheduler.abort("never seen")
    assert "gone" not in [name for name, _, _ in shape(scheduler.schedule())]
    scheduler.abort("first")
    assert scheduler.idle


@pytest.mark.parametrize("prompt", [0, 32, 40])
def test_a_prompt_that_leaves_no_room_is_refused(prompt: int) -> None:
    with pytest.raises(ValueError, match="window of 32"):
        Scheduler(slots=1, window=32, step_tokens=8).add(request("a", prompt=prompt))


@given(
    arrivals=st.lists(st.tuples(st.integers(0, 12), st.integers(1, 30), st.integers(1, 9)), min_size=1, max_size=20),
    aborts=st.dictionaries(st.integers(0, 30), st.integers(0, 19), max_size=5),
    slots=st.integers(1, 5),
    budget=st.integers(1, 20),
)
def test_whatever_comes_slots_are_dense_and_everyone_is_answered(
    arrivals: list[tuple[int, int, int]], aborts: dict[int, int], slots: int, budget: int
) -> None:
    scheduler, answers, held = Scheduler(slots, 64, budget), dict[str, int](), dict[int, str]()
    step_number = 0
    while step_number <= 30 or not scheduler.idle:
        for index, (at, prompt, tokens) in enumerate(arrivals):
            if at == step_number:
                scheduler.add(request(str(index), prompt, tokens))
        if step_number in aborts:
            scheduler.abort(str(aborts[step_number]))
        step = scheduler.schedule()
        _apply(step, held)
        slots_used = sorted(segment.slot for segment in step.segments)
        assert len(set(slots_used)) == len(slots_used) <= slots
        assert sum(segment.length for segment in step.segments) <= max(budget, len(step.segments))
        for output in scheduler.update(step, [7] * len(step.drawing)):
            answers[output.id] = answers.get(output.id, 0) + 1
        step_number += 1
    for index, (_, _, tokens) in enumerate(arrivals):
        if index not in aborts.values():
            assert answers[str(index)] == tokens


def _apply(step: Step, held: dict[int, str]) -> None:
    """Play the cache: a sequence that has begun must find its own keys and values in its slot."""
    for edit in step.edits:
        if isinstance(edit, Move):
            held[edit.target] = held.get(edit.source, "")
        else:
            held.pop(edit.slot, None)
    for segment in step.segments:
        if segment.start:
            assert held[segment.slot] == segment.sequence.request.id
        held[segment.slot] = segment.sequence.request.id

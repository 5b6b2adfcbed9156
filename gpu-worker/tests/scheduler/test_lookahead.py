"""A step that is planned while the one before it computes."""

from __future__ import annotations

import pytest

from parley_worker.scheduler.request import Sampling
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.testing.block_model import BlockModel, answer
from parley_worker.testing.stepping import STOP, drain, request, shape, update


def test_a_token_in_flight_is_named_by_its_draw() -> None:
    scheduler = Scheduler(16, 4, 64, step_tokens=32, lookahead=True)
    scheduler.add(request("a", 20, 9))
    scheduler.add(request("b", 1, 9))
    first, second = scheduler.schedule(0.0), scheduler.schedule(0.0)
    assert [segment.sequence.request.id for segment in first.segments] == ["b", "a"]
    assert [(s.sequence.request.id, s.start, s.token_ids, s.place) for s in second.segments] == [
        ("a", 20, [-2], 1),
        ("b", 1, [-1], 1),
    ]
    assert [output.id for output in update(scheduler, first)] == ["b", "a"]
    assert [segment.token_ids for segment in scheduler.schedule(0.0).segments] == [[-1], [-2]]


def test_no_row_is_wasted_where_the_end_is_known_before_the_token() -> None:
    scheduler = Scheduler(16, 4, 64, step_tokens=32, lookahead=True)
    scheduler.add(request("a", 3, 1))
    scheduler.add(request("b", 61, 9))
    scheduler.schedule(0.0)
    assert shape(scheduler.schedule(0.0)) == {"b": 32}


def test_the_row_after_a_stop_token_is_dropped() -> None:
    scheduler = Scheduler(16, 4, 64, step_tokens=32, lookahead=True)
    scheduler.add(request("a", 3, 9))
    first, second = scheduler.schedule(0.0), scheduler.schedule(0.0)
    assert [output.token_id for output in update(scheduler, first, STOP)] == [STOP]
    assert not scheduler.idle
    assert update(scheduler, second) == []
    assert scheduler.idle
    scheduler.check_integrity()


@pytest.mark.parametrize(
    "penalized",
    [
        Sampling(0.0, 0, 1.0, 1.2, 0),
        Sampling(0.0, 0, 1.0, 1.0, 0, presence_penalty=0.5),
        Sampling(0.0, 0, 1.0, 1.0, 0, frequency_penalty=0.5),
    ],
)
def test_penalties_wait_for_the_token(penalized: Sampling) -> None:
    scheduler = Scheduler(16, 4, 64, step_tokens=32, lookahead=True)
    scheduler.add(request("a", 3, 9, sampling=penalized))
    scheduler.add(request("b", 3, 9))
    assert not scheduler.needs_tokens
    first, second = scheduler.schedule(0.0), scheduler.schedule(0.0)
    assert shape(second) == {"b": 1}
    assert scheduler.needs_tokens
    update(scheduler, first)
    assert not scheduler.needs_tokens
    assert shape(scheduler.schedule(0.0)) == {"a": 1, "b": 1}


def test_a_preempted_sequence_still_gets_its_token_in_flight() -> None:
    scheduler = Scheduler(3, 4, 48, step_tokens=64, lookahead=True)
    scheduler.add(request("a", 16, 20))
    scheduler.add(request("b", 15, 20))
    first, second = scheduler.schedule(0.0), scheduler.schedule(0.0)
    assert (second.preemptions, shape(second)) == (0, {"a": 1, "b": 1})
    assert {output.id for output in update(scheduler, first)} == {"a", "b"}
    third = scheduler.schedule(0.0)
    assert (third.preemptions, shape(third)) == (1, {"a": 1})
    assert {output.id for output in update(scheduler, second)} == {"a", "b"}
    scheduler.check_integrity()


def test_a_preempted_sequence_is_not_admitted_before_its_token_in_flight_is_known() -> None:
    """Its last block of the prefix is its own, though `long` has the same: it can find more than it gave back."""
    scheduler, model = Scheduler(6, 2, 96, step_tokens=20, lookahead=True), BlockModel(6)
    long, short = request("long", tuple(range(60)), 8), request("short", tuple(range(48)), 30)
    scheduler.add(long)
    scheduler.add(short)
    answers = drain(scheduler, model, lookahead=True)
    assert answers == {"long": answer(long, 8), "short": answer(short, 30)}


def test_steps_are_updated_in_order_and_no_more_than_two_are_open() -> None:
    scheduler = Scheduler(16, 4, 64, step_tokens=32, lookahead=True)
    scheduler.add(request("a", 3, 9))
    first, second = scheduler.schedule(0.0), scheduler.schedule(0.0)
    with pytest.raises(RuntimeError, match="updated first"):
        scheduler.schedule(0.0)
    with pytest.raises(ValueError, match="not the draws"):
        update(scheduler, second)
    with pytest.raises(ValueError, match="not the draws"):
        scheduler.update(first, [])
    update(scheduler, first)
    update(scheduler, second)


def test_without_it_a_step_is_updated_before_the_next() -> None:
    scheduler = Scheduler(16, 4, 64, step_tokens=32)
    scheduler.add(request("a", 3, 9))
    scheduler.schedule(0.0)
    with pytest.raises(RuntimeError, match="updated first"):
        scheduler.schedule(0.0)

"""What ends a request."""

from __future__ import annotations

import pytest

from parley_worker.core import FinishReason
from parley_worker.scheduler.request import Drawn, Fault
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.testing.stepping import STOP, advance, advance_to_shape, request, shape, update


def test_a_stop_token_max_tokens_and_the_window_end_an_answer() -> None:
    scheduler = Scheduler(8, 8, 6, step_tokens=64)
    scheduler.add(request("counts", max_tokens=2))
    scheduler.add(request("fills", max_tokens=100))
    ends: dict[str, FinishReason | None] = {}
    for token in (7, 7, 7):
        ends |= {output.id: output.finish_reason for output in advance(scheduler, token) if output.last}
    assert ends == {"counts": FinishReason.LENGTH, "fills": FinishReason.LENGTH}
    scheduler.add(request("stops"))
    (output,) = advance(scheduler, STOP)
    assert (output.token_id, output.finish_reason) == (STOP, FinishReason.STOP)
    assert scheduler.idle


def test_max_tokens_counts_what_was_answered_before() -> None:
    scheduler = Scheduler(8, 1, 32, step_tokens=64)
    scheduler.add(request("a", 6, answered=3, max_tokens=5))
    assert [advance(scheduler)[0].finish_reason for _ in range(2)] == [None, FinishReason.LENGTH]


def test_scores_that_are_not_finite_end_their_request_alone_and_nobody_finds_its_blocks() -> None:
    scheduler, prompt = Scheduler(16, 4, 128, step_tokens=48), tuple(range(40))
    scheduler.add(request("good", max_tokens=9))
    scheduler.add(request("bad", prompt))
    step = scheduler.schedule(0.0)
    outputs = scheduler.update(step, [Drawn(7), None])
    assert [(output.id, output.error) for output in outputs] == [("good", None), ("bad", Fault.NOT_FINITE)]
    scheduler.add(request("next", prompt))
    step = scheduler.schedule(0.0)
    assert shape(step) == {"good": 1, "next": 40}
    assert step.prefix_hits == 0


def test_blocks_that_were_found_before_they_proved_bad_are_not_found_again() -> None:
    scheduler, prompt = Scheduler(16, 4, 128, step_tokens=32), tuple(range(40))
    scheduler.add(request("bad", prompt))
    advance(scheduler)
    scheduler.add(request("fellow", prompt))
    step = scheduler.schedule(0.0)
    assert step.prefix_hits == 32
    scheduler.update(step, [None, Drawn(7)])
    scheduler.add(request("next", prompt))
    assert scheduler.schedule(0.0).prefix_hits == 0
    scheduler.check_integrity()


@pytest.mark.parametrize("waiting", [False, True])
def test_abort_forgets_a_request_wherever_it_is(waiting: bool) -> None:
    scheduler = Scheduler(8, 1, 32, step_tokens=64)
    scheduler.add(request("first"))
    if waiting:
        advance(scheduler)
    scheduler.add(request("gone"))
    scheduler.abort("gone")
    scheduler.abort("never seen")
    assert set(advance_to_shape(scheduler)) == {"first"}
    scheduler.abort("first")
    assert scheduler.idle
    scheduler.check_integrity()


def test_what_is_drawn_for_an_aborted_request_is_dropped() -> None:
    scheduler = Scheduler(8, 4, 32, step_tokens=64)
    scheduler.add(request("gone"))
    scheduler.add(request("stays"))
    step = scheduler.schedule(0.0)
    scheduler.abort("gone")
    assert [output.id for output in update(scheduler, step)] == ["stays"]


def test_an_id_is_free_again_once_its_request_is_over() -> None:
    scheduler = Scheduler(8, 4, 32, step_tokens=64)
    for _ in range(2):
        scheduler.add(request("a", max_tokens=1))
        assert advance(scheduler)[0].last


def test_log_probabilities_pass_through() -> None:
    scheduler = Scheduler(8, 4, 32, step_tokens=64)
    scheduler.add(request("a"))
    drawn = Drawn(7, -0.5, ((7, -0.5), (8, -1.5)))
    (output,) = scheduler.update(scheduler.schedule(0.0), [drawn])
    assert output.drawn == drawn

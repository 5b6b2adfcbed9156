"""Requests whose time is over."""

from __future__ import annotations

from parley_worker.scheduler.request import Fault
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.testing.stepping import advance, request, update


def test_a_request_past_its_deadline_is_over_at_the_next_step() -> None:
    scheduler = Scheduler(8, 1, 32, step_tokens=64)
    scheduler.add(request("runs", deadline=5.0))
    scheduler.add(request("waits", deadline=4.0))
    advance(scheduler, now=3.9)
    step = scheduler.schedule(5.0)
    assert not step.segments
    assert not scheduler.idle
    outputs = update(scheduler, step)
    assert [(output.id, output.error) for output in outputs] == [
        ("waits", Fault.DEADLINE),
        ("runs", Fault.DEADLINE),
    ]
    assert scheduler.idle
    scheduler.check_integrity()


def test_a_deadline_after_the_end_means_nothing() -> None:
    scheduler = Scheduler(8, 1, 32, step_tokens=64)
    scheduler.add(request("a", max_tokens=1, deadline=5.0))
    advance(scheduler)
    scheduler.add(request("a", max_tokens=1))
    (output,) = advance(scheduler, now=6.0)
    assert output.error is None


def test_who_is_aborted_after_his_deadline_hears_nothing() -> None:
    scheduler = Scheduler(8, 1, 32, step_tokens=64)
    scheduler.add(request("a", deadline=5.0))
    step = scheduler.schedule(6.0)
    scheduler.abort("a")
    assert update(scheduler, step) == []
    assert scheduler.idle


def test_deadlines_of_requests_that_are_over_are_not_kept() -> None:
    scheduler = Scheduler(8, 4, 32, step_tokens=64)
    for number in range(1000):
        scheduler.add(request(str(number), max_tokens=1, deadline=1e9))
        advance(scheduler)
    assert len(scheduler._deadlines) < 100

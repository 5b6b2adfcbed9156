"""An engine without a process: a scheduler and a runner that launches, turn about."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

from parley_worker.engine.runner import Launched, StepRunner
from parley_worker.scheduler.request import Output
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.scheduler.step import Step


def drive(scheduler: Scheduler, runner: StepRunner, *, lookahead: bool) -> Iterator[Output]:
    """Run until all requests are over; with `lookahead`, which the scheduler must know of, a step ahead."""
    flight: deque[tuple[Step, Launched]] = deque()
    while not scheduler.idle:
        newest = scheduler.schedule(time.monotonic())
        flight.append((newest, runner.launch(newest)))
        # A step of nothing waits for those in flight.
        while flight and (len(flight) > lookahead or not newest.segments):
            step, launched = flight.popleft()
            yield from scheduler.update(step, launched.read())

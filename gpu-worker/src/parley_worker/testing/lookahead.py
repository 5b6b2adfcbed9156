"""An engine without a process: a scheduler and a runner that launches, turn about."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

from parley_worker.scheduler.paged import PagedScheduler
from parley_worker.scheduler.plan import Step
from parley_worker.scheduler.request import Drawn, Output


class Pending(Protocol):
    """A step that is being computed."""

    def result(self) -> Sequence[Drawn | None]: ...


class Launches(Protocol):
    """What computes steps: `parley_worker.cuda.runner.Runner`."""

    def launch(self, step: Step) -> Pending: ...


def drive(scheduler: PagedScheduler, runner: Launches, *, lookahead: bool) -> Iterator[Output]:
    """Run until all requests are over; with `lookahead`, which the scheduler must know of, a step ahead."""
    flight: deque[tuple[Step, Pending]] = deque()
    while not scheduler.idle:
        newest = scheduler.schedule(time.monotonic())
        flight.append((newest, runner.launch(newest)))
        # A step of nothing waits for those in flight.
        while flight and (len(flight) > lookahead or not newest.segments):
            step, launched = flight.popleft()
            yield from scheduler.update(step, launched.result())

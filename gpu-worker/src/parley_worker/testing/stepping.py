"""A scheduler driven by hand, one step after the other."""

from __future__ import annotations

from collections import deque
from typing import Final

from parley_worker.scheduler.request import Drawn, Output, Request, Sampling
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.scheduler.step import Step
from parley_worker.testing.block_model import BlockModel
from parley_worker.testing.sampling import GREEDY

STOP: Final = 99


class Guesses:
    """A proposer of the drafts that it is given; for up to two that decode. It keeps what it is asked and told."""

    streams = 2

    def __init__(self, *drafts: int) -> None:
        self.drafts = list(drafts)
        self.limits: list[int] = []
        self.seen: list[tuple[int, int]] = []

    def propose(self, tokens: list[int], limit: int) -> list[int]:
        self.limits.append(limit)
        return self.drafts[:limit]

    def observe(self, proposed: int, accepted: int) -> None:
        self.seen.append((proposed, accepted))


def request(
    name: str,
    prompt: int | tuple[int, ...] = 3,
    max_tokens: int = 4,
    *,
    answered: int = 0,
    user: str = "",
    deadline: float | None = None,
    sampling: Sampling = GREEDY,
) -> Request:
    """A request that `STOP` ends. An int stands for so many tokens that no name with another first letter has."""
    tokens = (10_000 + ord(name[0]),) * prompt if isinstance(prompt, int) else prompt
    return Request(tokens, answered, max_tokens, frozenset({STOP}), sampling, user, deadline, id=name)


def shape(step: Step) -> dict[str, int]:
    """How many tokens of which request a step computes."""
    return {segment.sequence.request.id: segment.length for segment in step.segments}


def update(scheduler: Scheduler, step: Step, token: int | None = 7) -> list[Output]:
    """Answer every draw of a step with this token; None is a row that is not finite."""
    return scheduler.update(step, [None if token is None else Drawn(token)] * step.draw_count)


def advance(scheduler: Scheduler, token: int | None = 7, now: float = 0.0) -> list[Output]:
    """The next step, all of whose draws are this token."""
    return update(scheduler, scheduler.schedule(now), token)


def advance_to_shape(scheduler: Scheduler) -> dict[str, int]:
    """What the next step computes."""
    step = scheduler.schedule(0.0)
    update(scheduler, step)
    return shape(step)


def drain(scheduler: Scheduler, model: BlockModel, *, lookahead: bool = False) -> dict[str, list[int]]:
    """What the model answers each request of the scheduler, in as many rounds as it may.

    Raises AssertionError when somebody waits for longer than 2000 steps, IntegrityError when blocks are lost.
    """
    answers: dict[str, list[int]] = {}
    flight: deque[tuple[Step, list[Drawn | None]]] = deque()
    for _ in range(2000):
        if scheduler.idle:
            return answers
        step = scheduler.schedule(0.0)
        flight.append((step, model.run(step, step.rounds)))
        while len(flight) > (lookahead and step.rows > 0):
            for output in scheduler.update(*flight.popleft()):
                assert output.token_id is not None
                answers.setdefault(output.id, []).append(output.token_id)
        scheduler.check_integrity()
    raise AssertionError("somebody starves")

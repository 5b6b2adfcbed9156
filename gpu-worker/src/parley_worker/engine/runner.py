"""Runs steps: arrays to an executor, scores to tokens. Tensors begin here."""

from __future__ import annotations

from collections.abc import Sequence as Ordered
from typing import Protocol

from torch import Tensor

from parley_worker.engine.executor import Executor
from parley_worker.engine.sampler import sample
from parley_worker.scheduler.assembly import make_batch
from parley_worker.scheduler.draw import Draw
from parley_worker.scheduler.request import Drawn
from parley_worker.scheduler.step import Step


class Launched(Protocol):
    """A step under way, or done."""

    def read(self) -> list[Drawn | None]:
        """What was drawn for `Step.draws`, in that order, and so on for each round that there was.

        None where the scores were not finite. Waits for it.
        """
        ...


class StepRunner(Protocol):
    """looks_ahead: the next step may be launched before this one was read, and name its draws as tokens.

    rounds: how many a step may have. Whether they are used up is the runner's to decide.
    """

    looks_ahead: bool
    rounds: int

    def launch(self, step: Step) -> Launched: ...


class Sampler(Protocol):
    """Draws a token from each row of float32 scores [D, vocab], which it may overwrite.

    What a row draws depends on its scores, settings, seed and index alone, to the bit.
    """

    def __call__(self, scores: Tensor, draws: Ordered[Draw]) -> Launched: ...


class Runner:
    """The runner of an executor that computes while it is called."""

    looks_ahead, rounds = False, 1

    def __init__(self, executor: Executor, sampler: Sampler = sample) -> None:
        self._executor, self._sampler = executor, sampler

    def launch(self, step: Step) -> Launched:
        """See `StepRunner`."""
        return self._sampler(self._executor.execute(make_batch(step)), step.draws)

"""Runs steps: arrays to an executor, scores to tokens. Tensors begin here."""

from __future__ import annotations

from typing import Protocol

import torch

from parley_worker.engine.executor import Executor
from parley_worker.engine.sampler import Plan, Sampled
from parley_worker.scheduler.assembly import make_batch
from parley_worker.scheduler.request import Drawn
from parley_worker.scheduler.step import Step


class Launched(Protocol):
    """A step under way, or done."""

    def read(self) -> list[Drawn | None]:
        """What was drawn for `Step.draws`, in that order; None where the scores were not finite. Waits for it."""
        ...


class StepRunner(Protocol):
    """looks_ahead: the next step may be launched before this one was read, and name its draws as tokens."""

    looks_ahead: bool

    def launch(self, step: Step) -> Launched: ...


class Runner:
    """The runner of an executor that computes while it is called."""

    looks_ahead = False

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    @torch.inference_mode()
    def launch(self, step: Step) -> Sampled:
        """See `StepRunner`."""
        scores = self._executor.execute(make_batch(step))
        return Plan.of(step.draws, scores.shape[-1], scores.device).sample(scores)

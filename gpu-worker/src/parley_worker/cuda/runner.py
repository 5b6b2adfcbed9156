"""Launches steps without waiting for them, so that the next one is planned while this one is computed."""

from __future__ import annotations

import torch

from parley_worker.cuda.executor import CudaExecutor
from parley_worker.engine.sampler.plan import Plan
from parley_worker.engine.sampler.sampled import Sampled
from parley_worker.scheduler.assembly import make_batch
from parley_worker.scheduler.plan import Step
from parley_worker.scheduler.request import Drawn


class Launched:
    """A step that the device computes, or soon will."""

    def __init__(self, sampled: Sampled | None) -> None:
        self._sampled = sampled

    def result(self) -> list[Drawn | None]:
        """Wait for the step, not for those launched after it: each draw, None if its scores were not finite."""
        return self._sampled.read() if self._sampled else []


class Runner:
    """The model and the sampler, a step ahead of their host.

    With the steps of a scheduler that looks ahead: launch(n), launch(n + 1), then the result of n, and so on. The batch
    of n + 1 names tokens of n by ids below 0, which the device puts in as it comes to them.
    """

    def __init__(self, executor: CudaExecutor) -> None:
        self._executor = executor

    @torch.no_grad()
    def launch(self, step: Step) -> Launched:
        """Queue a step and its draws. The step is read now: the scheduler may go on. ValueError as `execute`."""
        scores = self._executor.execute(make_batch(step))
        draws = step.draws
        if not draws:
            self._executor.remember(None)
            return Launched(None)
        sampled = Plan.of(draws, self._executor.vocab_size, scores.device).sample(scores)
        self._executor.remember(sampled.tokens)
        return Launched(sampled)

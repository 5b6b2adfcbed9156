"""Launches steps without waiting for them, so that the next one is planned while this one is computed."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from parley_worker.cuda.executor import CudaExecutor
from parley_worker.engine.sampler.plan import Plan
from parley_worker.engine.sampler.sampled import Sampled
from parley_worker.scheduler.batch import Batch
from parley_worker.scheduler.draw import Draw
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

    With steps n and n + 1 of a scheduler that looks ahead: launch(n), launch(n + 1), then n's result(), and so on. The
    batch of n + 1 names tokens of n by ids below 0, which the device puts in as it comes to them.
    """

    def __init__(self, executor: CudaExecutor) -> None:
        self._executor = executor

    @torch.no_grad()
    def launch(self, batch: Batch, draws: Sequence[Draw]) -> Launched:
        """Queue a step and its draws, one for each of batch.draws. Reads the draws now. ValueError as `execute`."""
        scores = self._executor.execute(batch)
        if not draws:
            self._executor.remember(None)
            return Launched(None)
        sampled = Plan.of(draws, self._executor.vocab_size, scores.device).sample(scores)
        self._executor.remember(sampled.tokens)
        return Launched(sampled)

"""Launches steps without waiting for them, so that the next one is planned while this one is computed."""

from __future__ import annotations

import torch

from parley_worker.cuda.executor import CudaExecutor
from parley_worker.engine.sampler import Plan, Sampled
from parley_worker.scheduler.assembly import make_batch
from parley_worker.scheduler.step import Step


class CudaRunner:
    """The model and the sampler, a step ahead of their host; see `StepRunner`.

    A batch names tokens of the step before by ids below 0, which the device puts in as it comes to them.
    """

    looks_ahead, rounds = True, 1

    def __init__(self, executor: CudaExecutor) -> None:
        self._executor = executor

    @torch.inference_mode()
    def launch(self, step: Step) -> Sampled:
        """Queue a step and its draws, and the copy of these to the host, which is all that `read` waits for.

        The step is read now: the scheduler may go on. ValueError as `CudaExecutor.execute`.
        """
        scores = self._executor.execute(make_batch(step))
        sampled = Plan.of(step.draws, scores.shape[-1], scores.device).sample(scores)
        self._executor.remember(sampled.tokens)
        return sampled

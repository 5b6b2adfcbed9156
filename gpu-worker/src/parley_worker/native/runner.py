"""Runs steps on the native executor: lists from the scheduler to the library, with no array or tensor in between."""

from __future__ import annotations

from parley_worker.engine.runner import Launched, Sampler
from parley_worker.native.executor import NativeExecutor
from parley_worker.scheduler.assembly import list_rows
from parley_worker.scheduler.step import Step


class NativeRunner:
    """See `StepRunner`."""

    looks_ahead = False

    def __init__(self, executor: NativeExecutor, sampler: Sampler) -> None:
        self._executor, self._sampler = executor, sampler

    def launch(self, step: Step) -> Launched:
        """As `StepRunner.launch`; the step is computed when this returns."""
        return self._sampler(self._executor.run(list_rows(step), step.tables), step.draws)

"""Runs steps on the native executor: lists from the scheduler to the library, with no array or tensor in between."""

from __future__ import annotations

from array import array

from parley_worker.engine.runner import Launched
from parley_worker.engine.sampler.sampled import SampledOnHost
from parley_worker.native import abi
from parley_worker.native.executor import NativeExecutor
from parley_worker.native.sampler import NativeSampler
from parley_worker.scheduler.assembly import list_rows
from parley_worker.scheduler.step import Step

# Where a step is short, what is around it costs a good part of it: Python, the socket, the client that wakes. Several
# tokens of each answer then share that, and come together; no later than readers get them anyhow, as a worker gathers
# its deltas for longer.
_ROUNDS, _SECONDS = 4, 0.02


class NativeRunner:
    """See `StepRunner`. commands: a file; once something can be read from it, a step in rounds ends with its round."""

    looks_ahead = False

    def __init__(self, executor: NativeExecutor, sampler: NativeSampler, commands: int | None = None) -> None:
        self.rounds = 1 if executor.config.needs_lengths else _ROUNDS
        self._executor, self._sampler = executor, sampler
        self._rounds = abi.Rounds(1, _SECONDS, -1 if commands is None else commands, 0, 0)
        self._stop_ids, self._stops = frozenset[int](), array("q")

    def launch(self, step: Step) -> Launched:
        """As `StepRunner.launch`; the step is computed when this returns."""
        draws = step.draws
        if any(draw.sampling.logprobs is not None for draw in draws):
            return self._sampler(self._executor.run(list_rows(step), step.tables), draws)
        self._rounds.most = step.rounds
        self._stop_at(frozenset().union(*{segment.sequence.request.stop_ids for segment in step.segments}))
        sampler, described = self._sampler.native, self._sampler.describe(draws, step.rounds)
        tokens = self._executor.generate(list_rows(step), step.tables, sampler, described, self._rounds)
        return SampledOnHost(draws, tokens, None)

    def _stop_at(self, stop_ids: frozenset[int]) -> None:
        if stop_ids != self._stop_ids:
            self._stop_ids, self._stops = stop_ids, array("q", stop_ids)
            self._rounds.stops, self._rounds.stop_count = self._stops.buffer_info()

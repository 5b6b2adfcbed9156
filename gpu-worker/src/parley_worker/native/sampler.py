"""The sampler in C++: all draws of a step in one call."""

from __future__ import annotations

from collections.abc import Sequence as Ordered

import torch
from torch import Tensor

from parley_worker.engine.sampler.group import is_greedy
from parley_worker.engine.sampler.logprobs import LogProbs, rows_with_logprobs
from parley_worker.engine.sampler.penalties import Penalties
from parley_worker.engine.sampler.randomness import uniform
from parley_worker.engine.sampler.sampled import SampledOnHost
from parley_worker.native import abi
from parley_worker.native.library import Pool, Sampler
from parley_worker.scheduler.draw import Draw

_CPU = torch.device("cpu")
_GREEDY = abi.Draw(temperature=0.0)


class NativeSampler:
    """Draws from scores on the CPU, by the definitions of `Plan`. Penalties and log-probabilities are left to torch."""

    def __init__(self, pool: Pool, vocab: int) -> None:
        self._vocab, self._sampler = vocab, Sampler(pool, vocab)
        self._known, self._rows = torch.empty(0, vocab), 0

    def __call__(self, scores: Tensor, draws: Ordered[Draw]) -> SampledOnHost:
        """See `engine.runner.Sampler`. Raises ValueError for scores that are no rows of the vocabulary; MemoryError."""
        if scores is not self._known or len(draws) != self._rows:
            self._check(scores, len(draws))
        rows = rows_with_logprobs(draws, _CPU)
        logprobs = None if rows is None else LogProbs.of(scores, rows)
        if penalties := Penalties.of(draws, _CPU):
            penalties.apply(scores)
        described = (abi.Draw * len(draws))(*[self._describe(draw) for draw in draws])
        tokens = self._sampler.draw(scores.data_ptr(), described)
        return SampledOnHost(draws, tokens, logprobs)

    def _check(self, scores: Tensor, draws: int) -> None:
        if scores.shape != (draws, self._vocab) or not scores.is_contiguous() or scores.dtype != torch.float32:
            raise ValueError(f"{draws} draws from {scores.dtype} scores {list(scores.shape)}")
        self._known, self._rows = scores, draws

    def _describe(self, draw: Draw) -> abi.Draw:
        sampling = draw.sampling
        if is_greedy(sampling, self._vocab):
            return _GREEDY
        chance = uniform(sampling.seed, draw.index)
        return abi.Draw(sampling.temperature, min(sampling.top_k, self._vocab), sampling.top_p, sampling.min_p, chance)

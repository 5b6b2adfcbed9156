"""The sampler in C++: all draws of a step in one call."""

from __future__ import annotations

from collections.abc import Sequence as Ordered

import torch
from torch import Tensor

from parley_worker.engine.sampler.group import is_greedy
from parley_worker.engine.sampler.logprobs import LogProbs, rows_with_logprobs
from parley_worker.engine.sampler.penalties import bounded
from parley_worker.engine.sampler.randomness import uniform
from parley_worker.engine.sampler.sampled import SampledOnHost
from parley_worker.native.abi import DRAW
from parley_worker.native.library import Pool, Sampler
from parley_worker.scheduler.counts import TokenCounts
from parley_worker.scheduler.draw import Draw
from parley_worker.scheduler.request import Sampling

_CPU = torch.device("cpu")
_BEST = (0.0, 0, 1.0, 0.0, 0.0)
_FREE = (1.0, 0.0, 0.0, 0, 0, 0)
_GREEDY = DRAW.pack(*_BEST, *_FREE)


class NativeSampler:
    """Draws from scores on the CPU, by the definitions of `Plan`. Log-probabilities are left to torch.

    native: what draws in the library, by what `describe` says.
    """

    def __init__(self, pool: Pool, vocab: int) -> None:
        self._vocab, self.native = vocab, Sampler(pool, vocab)
        self._known, self._rows, self._address = torch.empty(0, vocab), 0, 0
        self._counted: list[TokenCounts] = []  # what descriptions point to

    def __call__(self, scores: Tensor, draws: Ordered[Draw]) -> SampledOnHost:
        """See `engine.runner.Sampler`. Raises ValueError for scores that are no rows of the vocabulary; MemoryError."""
        if scores is not self._known or len(draws) != self._rows:
            self._check(scores, len(draws))
        logprobs = None
        if any(draw.sampling.logprobs is not None for draw in draws):
            rows = rows_with_logprobs(draws, _CPU)
            logprobs = None if rows is None else LogProbs.of(scores, rows)
        return SampledOnHost(draws, self.native.draw(self._address, self.describe(draws)), logprobs)

    def describe(self, draws: Ordered[Draw], rounds: int = 1) -> bytes:
        """The draws as the library takes them, and those of the next tokens behind them. Good until the next call.

        Where there are penalties there is one round.
        """
        self._counted.clear()
        return b"".join([self._describe(draw, ahead) for ahead in range(rounds) for draw in draws])

    def _check(self, scores: Tensor, draws: int) -> None:
        if scores.shape != (draws, self._vocab) or not scores.is_contiguous() or scores.dtype != torch.float32:
            raise ValueError(f"{draws} draws from {scores.dtype} scores {list(scores.shape)}")
        self._known, self._rows, self._address = scores, draws, scores.data_ptr()

    def _describe(self, draw: Draw, ahead: int) -> bytes:
        sampling = draw.sampling
        greedy, free = is_greedy(sampling, self._vocab), not sampling.has_penalties
        if greedy and free:
            return _GREEDY
        settings = _BEST if greedy else self._settings(sampling, draw.index + ahead)
        return DRAW.pack(*settings, *(_FREE if free else self._penalties(draw)))

    def _settings(self, sampling: Sampling, index: int) -> tuple[float, int, float, float, float]:
        chance = uniform(sampling.seed, index)
        return sampling.temperature, min(sampling.top_k, self._vocab), sampling.top_p, sampling.min_p, chance

    def _penalties(self, draw: Draw) -> tuple[float, float, float, int, int, int]:
        counts = draw.counts or TokenCounts(draw.prompt)
        counts.add(draw.tokens)
        self._counted.append(counts)
        (ids, places), (answered, _) = counts.ids.buffer_info(), counts.answered.buffer_info()
        return *bounded(draw.sampling), ids, answered, places

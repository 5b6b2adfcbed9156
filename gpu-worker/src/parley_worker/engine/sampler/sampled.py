"""What a batch drew, on the device and on the host."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Ordered

import torch
from torch import Tensor

from parley_worker.engine.sampler.logprobs import LogProbs
from parley_worker.engine.sampler.transfer import Readback
from parley_worker.scheduler.draw import Draw
from parley_worker.scheduler.request import Drawn


class Sampled:
    """`tokens` int64 [D] and `finite` bool [D] stay on the device; `read` is the only wait for it.

    Where the scores were not finite the token is 0 and means nothing. The copies to the host begin at once.
    """

    def __init__(self, draws: Ordered[Draw], tokens: Tensor, finite: Tensor, logprobs: LogProbs | None) -> None:
        self.tokens, self.finite = tokens.masked_fill(~finite, 0), finite
        self._draws = draws
        likeliest = (logprobs.chosen(self.tokens), logprobs.best, logprobs.ids) if logprobs else ()
        self._readback = Readback(torch.where(finite, self.tokens, -1), *likeliest)

    def read(self) -> list[Drawn | None]:
        """What each row drew; None where its scores were not finite."""
        tokens, *likeliest = self._readback.wait()
        return _read(self._draws, tokens.tolist(), *likeliest)


class SampledOnHost:
    """Tokens that are on the host already, -1 where the scores were not finite."""

    def __init__(self, draws: Ordered[Draw], tokens: list[int], logprobs: LogProbs | None) -> None:
        self._draws, self._tokens, self._logprobs = draws, tokens, logprobs

    def read(self) -> list[Drawn | None]:
        """As `Sampled.read`."""
        logprobs = self._logprobs
        if not logprobs:
            return _read(self._draws, self._tokens)
        chosen = logprobs.chosen(torch.tensor(self._tokens).clamp(min=0))
        return _read(self._draws, self._tokens, chosen, logprobs.best, logprobs.ids)


def _read(draws: Ordered[Draw], tokens: list[int], *likeliest: Tensor) -> list[Drawn | None]:
    drawn = [Drawn(token) if token >= 0 else None for token in tokens]
    if likeliest:
        asked = [(row, draw.sampling.logprobs) for row, draw in enumerate(draws) if draw.sampling.logprobs is not None]
        for row, told in _tell(drawn, asked, *likeliest):
            drawn[row] = told
    return drawn


def _tell(
    drawn: list[Drawn | None], asked: list[tuple[int, int]], chosen: Tensor, values: Tensor, ids: Tensor
) -> Iterator[tuple[int, Drawn]]:
    likeliest = zip(asked, chosen.tolist(), values.tolist(), ids.tolist(), strict=True)
    for (row, count), logprob, best_values, best_ids in likeliest:
        token = drawn[row]
        if token is not None:
            best = tuple(zip(best_ids[:count], best_values[:count], strict=True))
            yield row, Drawn(token.token_id, logprob, best)

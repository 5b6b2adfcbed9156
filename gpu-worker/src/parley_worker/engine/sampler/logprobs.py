"""Log-probabilities of what was drawn and of what was likeliest."""

from __future__ import annotations

from collections.abc import Sequence as Ordered
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from parley_worker.engine.sampler.blocks import best, per_block
from parley_worker.engine.sampler.transfer import to_device
from parley_worker.scheduler.draw import Draw

MOST = 20
"""How many of the best tokens can be told."""


@dataclass(frozen=True, slots=True)
class LogProbs:
    """Of the `rows` that ask for them: the log-softmax of the scores as the model gave them, float32 [L, vocab].

    That is before penalties, temperature and what else shapes a draw, as vLLM's `raw_logprobs`. They are copied, since
    penalties change the scores in place.
    """

    rows: Tensor
    values: Tensor

    @classmethod
    def of(cls, logits: Tensor, rows: Tensor) -> LogProbs:
        return cls(rows, logits[rows].log_softmax(dim=-1))

    def chosen(self, tokens: Tensor) -> Tensor:
        """Of the token that each row drew [L]."""
        return self.values.gather(-1, tokens[self.rows].unsqueeze(-1)).squeeze(-1)

    def best(self) -> tuple[Tensor, Tensor]:
        """The MOST best tokens' values and ids [L, MOST], or as many as there are, best first."""
        maxima = per_block(self.values, torch.amax)
        rows = torch.arange(len(self.values), device=self.values.device)
        return best(self.values, maxima, rows, min(MOST, self.values.shape[-1]))


def rows_with_logprobs(draws: Ordered[Draw], device: torch.device) -> Tensor | None:
    """The rows that ask for log-probabilities; None if none does."""
    rows = [row for row, draw in enumerate(draws) if draw.sampling.logprobs is not None]
    return to_device(np.array(rows, dtype=np.int64), device) if rows else None

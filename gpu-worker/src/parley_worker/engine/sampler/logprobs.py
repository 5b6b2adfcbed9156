"""Log-probabilities of what was drawn and of what was likeliest."""

from __future__ import annotations

from collections.abc import Sequence as Ordered
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from parley_worker.engine.sampler.blocks import best, highest, per_block
from parley_worker.engine.sampler.transfer import batches, to_device
from parley_worker.scheduler.draw import Draw

MOST = 20
"""How many of the best tokens can be told."""
# Scores may lie further apart than a float32 tells.
_LEAST = torch.finfo(torch.float32).min


@dataclass(frozen=True, slots=True)
class LogProbs:
    """Of the L rows that ask for them: the log-softmax of the scores as the model gave them.

    That is before penalties, temperature and what else shapes a draw, as vLLM's `raw_logprobs`. `scores` [L, vocab];
    best [L, MOST]: the best tokens' values, or of as many as there are, and their `ids`, best first. A token's value is
    that of the best, and what its score is below the best one's.
    """

    rows: Tensor
    scores: Tensor
    best: Tensor
    ids: Tensor

    @classmethod
    def of(cls, logits: Tensor, rows: Tensor) -> LogProbs:
        """Copies the rows, since penalties change them in place."""
        scores = logits[rows]
        parts = [_best(part) for part in batches(scores)]
        values, ids = (torch.cat(column) for column in zip(*parts, strict=True))
        return cls(rows, scores, values, ids)

    def chosen(self, tokens: Tensor) -> Tensor:
        """Of the token that each row drew [L]."""
        drawn = self.scores.gather(-1, tokens[self.rows].unsqueeze(-1))
        return (drawn - self.scores.gather(-1, self.ids[:, :1]) + self.best[:, :1]).clamp(min=_LEAST).squeeze(-1)


def rows_with_logprobs(draws: Ordered[Draw], device: torch.device) -> Tensor | None:
    """The rows that ask for log-probabilities; None if none does."""
    rows = [row for row, draw in enumerate(draws) if draw.sampling.logprobs is not None]
    return to_device(np.array(rows, dtype=np.int64), device) if rows else None


def _best(scores: Tensor) -> tuple[Tensor, Tensor]:
    maxima = per_block(scores, torch.amax)
    rows = torch.arange(len(scores), device=scores.device)
    top, ids = best(scores, maxima, rows, min(MOST, scores.shape[-1]))
    greedy = highest(scores, maxima).unsqueeze(-1)
    return (top - top[:, :1] + scores.log_softmax(dim=-1).gather(-1, greedy)).clamp(min=_LEAST), ids

"""Repetition, presence and frequency penalties."""

from __future__ import annotations

from collections.abc import Sequence as Ordered
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from parley_worker.engine.sampler.transfer import to_device
from parley_worker.scheduler.batch import Ints
from parley_worker.scheduler.counts import TokenCounts
from parley_worker.scheduler.draw import Draw
from parley_worker.scheduler.request import Sampling

_SMALLEST, _GREATEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class Penalties:
    """What changes at N places (rows, ids) of the scores, each place once.

    A score is divided by its repetition penalty, or multiplied if it is below 0, as transformers'
    RepetitionPenaltyLogitsProcessor does for what prompt and answer hold. Then its deduction is taken away: OpenAI's
    presence penalty, and the frequency penalty for each time that the answer has the token.
    """

    rows: Tensor
    ids: Tensor
    repetition: Tensor
    deduction: Tensor

    @classmethod
    def of(cls, draws: Ordered[Draw], device: torch.device) -> Penalties | None:
        """None where no draw has a penalty."""
        rows = [row for row, draw in enumerate(draws) if draw.sampling.has_penalties]
        if not rows:
            return None
        places = [_places(draws[row]) for row in rows]
        ids, counts = (np.concatenate(parts) for parts in zip(*places, strict=True))
        penalties = np.array([bounded(draws[row].sampling) for row in rows])
        repeats = [len(ids) for ids, _ in places]
        repetition, presence, frequency = penalties.repeat(repeats, axis=0).T
        deduction = presence * (counts > 0) + frequency * counts
        return cls(
            to_device(np.repeat(rows, repeats), device),
            to_device(ids, device),
            to_device(repetition.astype(np.float32), device),
            to_device(deduction.astype(np.float32), device),
        )

    def apply(self, logits: Tensor) -> None:
        """Change float32 `logits` [D, vocab] in place. Finite scores stay finite, others stay what they are."""
        scores = logits[self.rows, self.ids]
        penalized = torch.where(scores < 0, scores * self.repetition, scores / self.repetition) - self.deduction
        logits[self.rows, self.ids] = torch.where(scores.isfinite(), penalized.nan_to_num(), scores)


def _places(draw: Draw) -> tuple[Ints, Ints]:
    """The ids that a draw penalizes, and how often the answer has each."""
    ids, counts = (draw.counts or TokenCounts(draw.prompt)).count(draw.tokens)
    if draw.sampling.repetition_penalty != 1.0:
        return ids, counts
    answered = counts > 0
    return ids[answered], counts[answered]


def bounded(sampling: Sampling) -> tuple[float, float, float]:
    """Repetition, presence and frequency penalty, the first of them within what a float32 can be and divide by."""
    repetition = min(max(sampling.repetition_penalty, _SMALLEST), _GREATEST)
    return repetition, sampling.presence_penalty, sampling.frequency_penalty

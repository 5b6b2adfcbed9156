"""Repetition, presence and frequency penalties."""

from __future__ import annotations

from collections.abc import Sequence as Ordered
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from parley_worker.engine.sampler.transfer import to_device
from parley_worker.scheduler.batch import Ints
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
        places = [(row, *_places(draw)) for row, draw in enumerate(draws) if _is_penalized(draw.sampling)]
        if not places:
            return None
        return cls(
            to_device(np.repeat([row for row, *_ in places], [len(ids) for _, ids, *_ in places]), device),
            to_device(np.concatenate([ids for _, ids, *_ in places]), device),
            to_device(np.concatenate([repetition for *_, repetition, _ in places]), device),
            to_device(np.concatenate([deduction for *_, deduction in places]), device),
        )

    def apply(self, logits: Tensor) -> None:
        """Change float32 `logits` [D, vocab] in place. Finite scores stay finite, others stay what they are."""
        scores = logits[self.rows, self.ids]
        penalized = torch.where(scores < 0, scores * self.repetition, scores / self.repetition) - self.deduction
        logits[self.rows, self.ids] = torch.where(scores.isfinite(), penalized.nan_to_num(), scores)


def _is_penalized(sampling: Sampling) -> bool:
    return sampling.repetition_penalty != 1.0 or bool(sampling.presence_penalty or sampling.frequency_penalty)


def _places(draw: Draw) -> tuple[Ints, np.ndarray, np.ndarray]:
    """The ids that a draw penalizes, with the repetition penalty and the deduction of each, float32."""
    sampling = draw.sampling
    answer = draw.tokens[draw.prompt :]
    if sampling.repetition_penalty == 1.0:
        ids, counts = np.unique(np.array(answer, dtype=np.int64), return_counts=True)
    else:
        tokens = np.array(draw.tokens, dtype=np.int64)
        ids, places = np.unique(tokens, return_inverse=True)
        counts = np.bincount(places[draw.prompt :], minlength=len(ids))
    penalty = min(max(sampling.repetition_penalty, _SMALLEST), _GREATEST)
    deduction = sampling.presence_penalty * (counts > 0) + sampling.frequency_penalty * counts
    return ids, np.full(len(ids), penalty, dtype=np.float32), deduction.astype(np.float32)

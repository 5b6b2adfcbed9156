"""Draws by the thousand, and what they should be."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from parley_worker.engine.runner import Sampler
from parley_worker.engine.sampler import group as groups
from parley_worker.engine.sampler import shortlist, whole
from parley_worker.engine.sampler.blocks import best, highest, per_block
from parley_worker.scheduler.draw import Draw
from parley_worker.scheduler.request import Sampling
from parley_worker.testing.sampling import PLAIN

Floats = NDArray[np.float64]

LOGITS = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0, -3.0])
# Two blocks and a piece; falling, so that rank and id are the same.
WIDE = torch.linspace(4.0, -4.0, 150)
CPU = torch.device("cpu")
HISTORY = [0, 1, 2, 2, 1, 0, 0, 5]
PENALTIES = replace(PLAIN, repetition_penalty=1.3, presence_penalty=0.4, frequency_penalty=0.2)
SETTINGS = [
    PLAIN,
    replace(PLAIN, temperature=0.5),
    replace(PLAIN, temperature=3.0),
    replace(PLAIN, top_k=3),
    replace(PLAIN, top_k=1000),
    replace(PLAIN, top_p=0.7),
    replace(PLAIN, min_p=0.2),
    replace(PLAIN, top_p=0.85, top_k=3),
    replace(PLAIN, top_p=0.8, top_k=4, temperature=2.0),
    replace(PLAIN, top_p=0.9, min_p=0.1, temperature=1.5),
    replace(PLAIN, top_p=0.95, top_k=5, min_p=0.1, temperature=1.5),
    PENALTIES,
    replace(PENALTIES, top_k=4, top_p=0.9, temperature=1.2),
    replace(PENALTIES, repetition_penalty=1.0, min_p=0.1),
]
# Of large vocabularies: which tokens they leave.
FILTERS = [
    PLAIN,
    replace(PLAIN, top_k=5),
    replace(PLAIN, top_k=20),
    replace(PLAIN, top_k=500),
    replace(PLAIN, top_p=0.9),
    replace(PLAIN, top_p=0.05),
    replace(PLAIN, min_p=0.03),
    replace(PLAIN, min_p=1.0),
    replace(PLAIN, top_k=50, top_p=0.8, temperature=0.7),
    replace(PLAIN, top_k=400, top_p=0.8, min_p=0.01, temperature=1.7),
    replace(PLAIN, top_k=30, min_p=0.1, temperature=0.6),
    replace(PLAIN, top_p=0.95, min_p=0.02, temperature=1.4),
]


def draw(sampling: Sampling, index: int = 0) -> Draw:
    """A draw behind `HISTORY`, half of which is the prompt."""
    return Draw(sampling, index, HISTORY, prompt=4)


def tokens(sampler: Sampler, draws: list[Draw], logits: torch.Tensor) -> list[int | None]:
    """The tokens that are drawn from the rows of `logits`, None for a row that is not finite."""
    return [
        None if drawn is None else drawn.token_id
        for drawn in sampler(logits.clone(memory_format=torch.contiguous_format), draws).read()
    ]


def draw_many(sampler: Sampler, sampling: Sampling, count: int = 4000, logits: torch.Tensor = LOGITS) -> np.ndarray:
    """How often each token is drawn, half over neighbouring seeds, half over neighbouring indexes."""
    draws = [draw(replace(sampling, seed=seed)) for seed in range(count // 2)]
    draws += [draw(sampling, index) for index in range(count // 2)]
    drawn = tokens(sampler, draws, logits.repeat(count, 1))
    assert None not in drawn
    return np.bincount(np.array(drawn), minlength=len(logits))


def chi_square_fits(counts: np.ndarray, probabilities: np.ndarray) -> bool:
    """Within 4.5 standard deviations of the chi-square of as many degrees of freedom.

    Cells that are expected to be hit less than 5 times are one cell together, as the statistic wants it.
    """
    if counts[probabilities == 0].any():
        return False
    expected = probabilities * counts.sum()
    rare = expected < 5
    counts = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    counts, expected = counts[expected > 0], expected[expected > 0]
    freedom = max(1, len(expected) - 1)
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return statistic < freedom + 4.5 * math.sqrt(2 * freedom)


def expected(sampling: Sampling, logits: torch.Tensor = LOGITS) -> Floats:
    """The definition, one token at a time: penalties, temperature, top_k, top_p within these, min_p within these."""
    scores = logits.double().numpy().copy()
    for token in set(HISTORY):
        scores[token] *= sampling.repetition_penalty if scores[token] < 0 else 1 / sampling.repetition_penalty
    for token in set(HISTORY[4:]):
        count = HISTORY[4:].count(token)
        scores[token] -= sampling.presence_penalty + count * sampling.frequency_penalty
    weights = np.exp(scores / sampling.temperature)
    order = np.argsort(-weights, kind="stable")[: sampling.top_k or None]
    share = weights[order] / weights[order].sum()
    chosen = [
        index
        for index in range(len(share))
        if index == 0 or (share[:index].sum() < sampling.top_p and share[index] >= sampling.min_p * share[0])
    ]
    probabilities: Floats = np.zeros(len(weights))
    probabilities[order[chosen]] = share[chosen]
    probabilities /= probabilities.sum()
    return probabilities


def kept(sampling: Sampling, logits: torch.Tensor) -> torch.Tensor:
    """What each token weighs in the draw of each row."""
    parts = list(groups.group([draw(sampling)] * len(logits), logits.shape[-1], CPU))
    maxima = per_block(logits, torch.amax)
    weights = torch.zeros_like(logits)
    for part in parts:
        if part.kind.width:
            scores, ids = best(logits, maxima, part.rows, part.kind.width)
            weights[part.rows] = weights[part.rows].scatter(-1, ids, shortlist.kept(scores, part).float())
        else:
            weights[part.rows] = whole.kept(part.scores(logits), highest(logits, maxima)[part.rows], part)
    return weights

"""Draws in C++, uniform number by uniform number."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from parley_worker.engine.sampler import sample
from parley_worker.native.abi import DRAW
from parley_worker.native.library import Library, Pool, Sampler
from parley_worker.native.sampler import NativeSampler
from parley_worker.scheduler.draw import Draw
from parley_worker.scheduler.request import Sampling
from parley_worker.testing.draws import FILTERS, HISTORY, SETTINGS, draw, tokens
from parley_worker.testing.native import open_sampler
from parley_worker.testing.oracle import probabilities
from parley_worker.testing.sampling import PLAIN

LAST = 1 - 2.0**-52
NO_PENALTIES = (1.0, 0.0, 0.0, 0, 0, 0)


def invert(library: Library, sampling: Sampling, scores: torch.Tensor, uniforms: list[float]) -> list[int]:
    """The token that each number gives."""
    how = (sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p)
    draws = [DRAW.pack(*how, uniform, *NO_PENALTIES) for uniform in uniforms]
    rows = scores.repeat(len(uniforms), 1)
    return Sampler(Pool(library, 2), len(scores)).draw(rows.data_ptr(), b"".join(draws))


@pytest.mark.parametrize("vocab", [700, 1024, 5000])
@pytest.mark.parametrize("scale", [0.3, 2.0, 8.0])
@pytest.mark.parametrize("sampling", FILTERS)
def test_the_distribution_that_transformers_keeps_is_inverted_to_its_very_ends(
    library: Library, sampling: Sampling, scale: float, vocab: int
) -> None:
    scores = torch.randn(vocab, generator=torch.Generator().manual_seed(vocab)) * scale
    scores = scores.sort(descending=True).values  # so that the order of the draws is that of the ids
    meant = probabilities(sampling, scores[None].double())[0].numpy()
    ends = np.append(0.0, meant.cumsum())
    uniforms = [0.0, *np.random.default_rng(0).random(100).tolist(), LAST]
    found = np.array(invert(library, sampling, scores, uniforms))
    assert found[0] == 0
    assert meant[found[-1]] > 0
    assert meant[found[-1] + 1 :].sum() < 1e-15  # that much a uniform number does not tell
    assert (ends[found] <= np.array(uniforms) + 1e-6).all()
    assert (np.array(uniforms) <= ends[found + 1] + 1e-6).all()


@pytest.mark.parametrize("top_k", [2, 3, 300])
def test_the_ties_of_the_last_of_the_best_stay(library: Library, top_k: int) -> None:
    scores = torch.zeros(1000)
    scores[[90, 500]] = 1.0
    scores[: top_k - 2] = 2.0
    assert invert(library, replace(PLAIN, top_k=top_k - 1), scores, [LAST]) == [500]


@pytest.mark.parametrize("vocab", [300, 3000])
def test_the_ties_of_the_end_of_a_nucleus_stay(library: Library, vocab: int) -> None:
    scores = torch.full((vocab,), -9.0)
    scores[[3, 130, 250]] = 0.0
    assert invert(library, replace(PLAIN, top_p=0.4), scores, [0.0, 0.5, LAST]) == [3, 130, 250]


@pytest.mark.parametrize("sampling", [*SETTINGS, replace(PLAIN, top_k=300, top_p=0.9)])
@pytest.mark.parametrize("vocab", [130, 1500])
def test_the_tokens_are_those_of_torch(library: Library, sampling: Sampling, vocab: int) -> None:
    scores = torch.randn(64, vocab, generator=torch.Generator().manual_seed(0)) * 3
    draws = [draw(replace(sampling, seed=seed), seed % 5) for seed in range(64)]
    assert tokens(open_sampler(library), draws, scores) == tokens(sample, draws, scores)


def test_scores_that_are_no_rows_of_the_vocabulary_are_refused(library: Library) -> None:
    sampler = NativeSampler(Pool(library, 1), 8)
    for scores in (torch.zeros(1, 7), torch.zeros(3, 8), torch.zeros(8, 2).T, torch.zeros(2, 8, dtype=torch.float64)):
        with pytest.raises(ValueError, match="draws from"):
            sampler(scores, [draw(PLAIN)] * 2)


def test_any_number_of_rows_is_drawn_from(library: Library) -> None:
    for rows in (0, 1, 3, 4, 9):
        scores = torch.eye(9)[:rows] * 100
        draws = DRAW.pack(1.0, 0, 1.0, 0.0, 0.0, *NO_PENALTIES) * rows
        assert Sampler(Pool(library, 3), 9).draw(scores.data_ptr(), draws) == list(range(rows))


@pytest.mark.parametrize("scale", [1.0, 1e38])
def test_penalties_change_the_scores_as_those_of_torch_to_the_bit(library: Library, scale: float) -> None:
    scores = torch.randn(64, 30, generator=torch.Generator().manual_seed(0)) * scale
    scores[1, 5], scores[2, 0] = torch.inf, torch.nan
    rng = random.Random(0)
    draws = [
        draw(
            replace(
                PLAIN,
                repetition_penalty=rng.choice([1.0, 0.3, 1.7, 1e300]),
                presence_penalty=rng.uniform(-2, 2),
                frequency_penalty=rng.uniform(-2, 2),
            )
        )
        for _ in scores
    ]
    ours, theirs = scores.clone(), scores.clone()
    open_sampler(library, threads=2)(ours, draws)
    sample(theirs, draws)
    assert torch.equal(ours.view(torch.int32), theirs.view(torch.int32))
    assert not torch.equal(ours.view(torch.int32), scores.view(torch.int32))


@pytest.mark.parametrize("token", [-1, 8])
def test_a_penalized_token_beyond_the_vocabulary_is_refused(library: Library, token: int) -> None:
    scores = torch.zeros(2, 8)
    penalized = Draw(replace(PLAIN, presence_penalty=1.0), 0, [*HISTORY, token], prompt=0)
    with pytest.raises(ValueError, match="not of the vocabulary"):
        NativeSampler(Pool(library, 1), 8)(scores, [draw(replace(PLAIN, presence_penalty=1.0)), penalized])
    assert not scores.any()

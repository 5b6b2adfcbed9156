"""Which tokens may be drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from parley_worker.engine.runner import Sampler
from parley_worker.engine.sampler import nucleus
from parley_worker.scheduler.request import Sampling
from parley_worker.testing.draws import FILTERS, PENALTIES, chi_square_fits, draw, draw_many, kept, tokens
from parley_worker.testing.oracle import probabilities
from parley_worker.testing.sampling import GREEDY, PLAIN


@pytest.mark.parametrize("vocab", [700, 1024])
@pytest.mark.parametrize("scale", [0.3, 2.0, 8.0])
@pytest.mark.parametrize("sampling", FILTERS)
def test_what_may_be_drawn_is_what_transformers_keeps(sampling: Sampling, scale: float, vocab: int) -> None:
    logits = torch.randn(6, vocab, generator=torch.Generator().manual_seed(vocab)) * scale
    theirs = probabilities(sampling, logits)
    ours = kept(sampling, logits)
    ours /= ours.sum(dim=-1, keepdim=True)
    assert ((ours > 0) == (theirs > 0)).all()
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("top_p", [1e-3, 0.5, 0.9, 0.999999, 1 - 1e-12])
@pytest.mark.parametrize("scale", [0.0, 0.01, 1.0, 20.0])
def test_a_nucleus_ends_where_sorting_says(scale: float, top_p: float) -> None:
    torch.manual_seed(1)
    weights = (torch.randn(4, 3001) * scale).round(decimals=2).softmax(dim=-1)  # with ties
    share = torch.full((4,), top_p, dtype=torch.float64)
    ours = [weights >= end for end in (nucleus.smallest_weight(weights, share), nucleus._by_sorting(weights, share))]
    better = [[float(row[row > weight].double().sum()) for weight in row] for row in weights]
    meant = torch.tensor(better, dtype=torch.float64) < top_p * weights.double().sum(dim=-1, keepdim=True)
    # Where sums of many float32 meet the share to the last bit, either side is right.
    doubtful = (torch.tensor(better, dtype=torch.float64) - top_p).abs() < 1e-12
    assert (ours[0] == ours[1]).all()
    assert ((ours[0] == meant) | doubtful).all()


@pytest.mark.parametrize(
    "sampling",
    [
        GREEDY,
        replace(PLAIN, temperature=1e-30),
        replace(PLAIN, top_k=1),
        replace(PLAIN, top_p=0.0),
        replace(PLAIN, top_p=1e-9),
    ],
)
def test_greedy_settings_take_the_best_token_the_first_of_ties(sampler: Sampler, sampling: Sampling) -> None:
    logits = torch.zeros(300)
    logits[[70, 71, 140, 299]] = 4.0
    assert draw_many(sampler, sampling, 200, logits)[70] == 200


@pytest.mark.parametrize(
    "sampling", [PLAIN, replace(PLAIN, top_k=4), replace(PLAIN, top_p=0.999), replace(PLAIN, min_p=1e-9)]
)
def test_impossible_tokens_are_never_drawn(sampler: Sampler, sampling: Sampling) -> None:
    logits = torch.full((200,), -200.0)
    logits[[0, 130]] = 0.0
    assert draw_many(sampler, replace(sampling, temperature=0.1), 2000, logits)[[0, 130]].sum() == 2000


@pytest.mark.parametrize("sampling", [PLAIN, replace(PLAIN, top_k=2), replace(PLAIN, top_p=0.9), PENALTIES])
@pytest.mark.parametrize("temperature", [1e-4, 1.0, 1e300])
def test_scores_at_the_end_of_their_range_are_drawn_from(
    sampler: Sampler, sampling: Sampling, temperature: float
) -> None:
    logits = torch.tensor([[3e38, 3e38, -3e38, 0.0, 1.0, -1.0]])
    (token,) = tokens(sampler, [draw(replace(sampling, temperature=temperature))], logits)
    assert token in ((0, 1) if temperature <= 1 else range(6))


def test_a_temperature_without_end_leaves_all_scores_alike(sampler: Sampler) -> None:
    logits = torch.tensor([3e38, 3e38, -3e38, 0.0, 1.0, -1.0])
    counts = draw_many(sampler, replace(PLAIN, temperature=1e300), 400, logits)
    assert set(np.flatnonzero(counts)) == {0, 1, 3, 4, 5}  # 6e38 below the best is infinitely far


@pytest.mark.parametrize("tied", [2, 60, 700])
@pytest.mark.parametrize(
    "sampling", [replace(PLAIN, top_k=5), replace(PLAIN, top_k=31, min_p=0.01), replace(PLAIN, top_k=300, top_p=0.999)]
)
def test_ties_of_the_last_of_the_best_are_drawn_as_transformers_has_them(
    sampler: Sampler, sampling: Sampling, tied: int
) -> None:
    """They may be more than a shortlist has places, and lie anywhere."""
    logits = torch.linspace(-3.0, -8.0, 1500)
    order = torch.randperm(1500, generator=torch.Generator().manual_seed(tied))
    logits[order[:4]] = torch.tensor([5.0, 4.5, 4.0, 4.0])
    logits[order[4 : 4 + tied]] = 1.0
    expected = probabilities(sampling, logits[None].double())[0].numpy()
    counts = draw_many(sampler, sampling, 2000, logits)
    assert chi_square_fits(counts, expected)
    if sampling.top_k - 4 <= tied:
        assert (expected > 0).sum() == 4 + tied


def test_ties_at_the_end_of_a_nucleus_stay_together(sampler: Sampler) -> None:
    logits = torch.full((300,), -9.0)
    logits[[3, 130, 250]] = 0.0
    for top_k in (0, 20, 280):
        counts = draw_many(sampler, replace(PLAIN, top_p=0.4, top_k=top_k), 600, logits)
        assert set(np.flatnonzero(counts)) == {3, 130, 250}

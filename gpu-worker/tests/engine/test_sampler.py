"""Draws have the right distribution, belong to the request, and obey every setting."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from parley_worker.engine.sampler import draw_tokens
from parley_worker.engine.sampler.randomness import uniform
from parley_worker.scheduler.request import Request, Sampling, Sequence

PLAIN = Sampling(temperature=1.0, top_k=0, top_p=1.0, repetition_penalty=1.0, seed=0)
LOGITS = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0, -3.0])


def sequence(sampling: Sampling, index: int = 0) -> Sequence:
    return Sequence(Request("r", (0,) * (index + 1), index, 10_000, frozenset(), sampling), arrival=0)


def draw_many(sampling: Sampling, count: int = 4000, logits: torch.Tensor = LOGITS) -> np.ndarray:
    """How often each token is drawn, half over neighbouring seeds, half over neighbouring indexes."""
    sequences = [sequence(replace(sampling, seed=seed)) for seed in range(count // 2)]
    sequences += [sequence(sampling, index) for index in range(count // 2)]
    tokens = draw_tokens(sequences, logits.repeat(count, 1))
    assert None not in tokens
    return np.bincount(np.array(tokens), minlength=len(logits))


def chi_square_fits(counts: np.ndarray, probabilities: np.ndarray) -> bool:
    """Within 4.5 standard deviations of the chi-square of as many degrees of freedom."""
    likely = probabilities > 0
    if counts[~likely].any():
        return False
    expected = probabilities[likely] * counts.sum()
    freedom = max(1, likely.sum() - 1)
    statistic = float(((counts[likely] - expected) ** 2 / expected).sum())
    return statistic < freedom + 4.5 * math.sqrt(2 * freedom)


def expected(sampling: Sampling, logits: torch.Tensor = LOGITS) -> np.ndarray:
    """The definition, one token at a time: temperature, then top_k, then top_p within these."""
    weights = np.exp(logits.double().numpy() / sampling.temperature)
    order = np.argsort(-weights, kind="stable")[: sampling.top_k or None]
    kept = weights[order] / weights[order].sum()
    nucleus = [index for index in range(len(kept)) if index == 0 or kept[:index].sum() < sampling.top_p]
    probabilities = np.zeros(len(weights))
    probabilities[order[nucleus]] = kept[nucleus]
    return probabilities / probabilities.sum()


@pytest.mark.parametrize(
    "sampling",
    [
        PLAIN,
        replace(PLAIN, temperature=0.5),
        replace(PLAIN, temperature=3.0),
        replace(PLAIN, top_k=3),
        replace(PLAIN, top_k=1000),
        replace(PLAIN, top_p=0.7),
        replace(PLAIN, top_p=0.85, top_k=3),
        replace(PLAIN, top_p=0.8, top_k=4, temperature=2.0),
    ],
)
def test_draws_follow_the_distribution(sampling: Sampling) -> None:
    assert chi_square_fits(draw_many(sampling), expected(sampling))


def test_the_fit_can_fail() -> None:
    assert not chi_square_fits(draw_many(PLAIN), expected(replace(PLAIN, temperature=0.9)))
    assert not chi_square_fits(draw_many(PLAIN), expected(replace(PLAIN, top_k=5)))


def test_a_draw_is_the_same_alone_and_among_others() -> None:
    torch.manual_seed(0)
    settings = [PLAIN, replace(PLAIN, top_k=3), replace(PLAIN, top_p=0.6), replace(PLAIN, temperature=0.0)]
    sequences = [sequence(replace(settings[i % 4], seed=i // 3), i % 7) for i in range(40)]
    logits = torch.randn(40, 50)
    together = draw_tokens(sequences, logits.clone())
    alone = [draw_tokens([one], logits[i : i + 1].clone())[0] for i, one in enumerate(sequences)]
    assert together == alone


@pytest.mark.parametrize("other", ["seed", "index"])
def test_neighbouring_draws_are_independent(other: str) -> None:
    count = 4000
    values = [uniform(i, 5) if other == "seed" else uniform(5, i) for i in range(count)]
    pairs = np.histogram2d(values[:-1], values[1:], bins=6, range=[[0, 1], [0, 1]])[0].ravel()
    assert chi_square_fits(pairs, np.full(36, 1 / 36))
    assert all(0 <= value < 1 for value in values)


@pytest.mark.parametrize(
    "sampling",
    [
        replace(PLAIN, temperature=0.0),
        replace(PLAIN, temperature=1e-30),
        replace(PLAIN, top_k=1),
        replace(PLAIN, top_p=0.0),
        replace(PLAIN, top_p=1e-9),
    ],
)
def test_greedy_settings_take_the_best_token_even_of_ties(sampling: Sampling) -> None:
    logits = torch.tensor([0.0, 4.0, 4.0, 1.0])
    assert draw_many(sampling, 200, logits)[logits.argmax()] == 200


def test_impossible_tokens_are_never_drawn() -> None:
    logits = torch.tensor([0.0, -200.0, 0.0, -200.0])
    assert draw_many(replace(PLAIN, temperature=0.1), 2000, logits)[[1, 3]].sum() == 0


@pytest.mark.parametrize("sampling", [PLAIN, replace(PLAIN, top_k=3), replace(PLAIN, top_p=0.5)])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_row_that_is_not_finite_has_no_token_and_leaves_the_others_alone(value: float, sampling: Sampling) -> None:
    logits = LOGITS.repeat(3, 1)
    logits[1, 2] = value
    greedy = replace(PLAIN, temperature=0.0)
    assert draw_tokens([sequence(greedy), sequence(sampling), sequence(greedy)], logits) == [0, None, 0]


def test_repetition_penalty_is_applied_once_a_token_whatever_its_sign() -> None:
    sampling = replace(PLAIN, temperature=0.0, repetition_penalty=2.0)
    request = Request("r", (0, 0, 0, 1), 0, 10, frozenset(), sampling)
    assert draw_tokens([Sequence(request, 0)], torch.tensor([[2.0, -1.0, 1.1, -3.0]])) == [2]
    assert draw_tokens([Sequence(request, 0)], torch.tensor([[2.0, -1.0, 0.9, -3.0]])) == [0]
    assert draw_tokens([Sequence(request, 0)], torch.tensor([[-1.0, -0.4, -0.9, -3.0]])) == [1]

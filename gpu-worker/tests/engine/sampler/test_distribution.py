"""How often each token is drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from parley_worker.engine.runner import Sampler
from parley_worker.engine.sampler import group as groups
from parley_worker.engine.sampler import sample
from parley_worker.engine.sampler.randomness import uniform
from parley_worker.scheduler.request import Sampling
from parley_worker.testing.draws import (
    LOGITS,
    PENALTIES,
    SETTINGS,
    WIDE,
    chi_square_fits,
    draw,
    draw_many,
    expected,
    tokens,
)
from parley_worker.testing.sampling import PLAIN


@pytest.mark.parametrize("logits", [LOGITS, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("sampling", SETTINGS)
def test_draws_follow_the_distribution(sampler: Sampler, sampling: Sampling, logits: torch.Tensor) -> None:
    assert chi_square_fits(draw_many(sampler, sampling, logits=logits), expected(sampling, logits))


@pytest.fixture
def _short_shortlists(monkeypatch: pytest.MonkeyPatch) -> None:
    """A top_k over 2 is cut where it lies."""
    monkeypatch.setattr(groups, "WIDEST", 2)


@pytest.mark.usefixtures("_short_shortlists")
@pytest.mark.parametrize("sampling", [setting for setting in SETTINGS if setting.top_k])
def test_a_wide_top_k_follows_the_distribution(sampling: Sampling) -> None:
    assert chi_square_fits(draw_many(sample, sampling), expected(sampling))


def test_the_fit_can_fail() -> None:
    assert not chi_square_fits(draw_many(sample, PLAIN), expected(replace(PLAIN, temperature=0.9)))
    assert not chi_square_fits(draw_many(sample, PLAIN), expected(replace(PLAIN, top_k=5)))
    assert not chi_square_fits(draw_many(sample, PLAIN, logits=WIDE), expected(replace(PLAIN, temperature=0.9), WIDE))
    assert not chi_square_fits(draw_many(sample, replace(PENALTIES, top_k=4)), expected(replace(PLAIN, top_k=4)))


def test_a_large_vocabulary_is_drawn_without_bias(sampler: Sampler) -> None:
    """Over twentieths of the distribution, the least likely tokens first, each of which ends within some token."""
    logits = torch.randn(40_001, generator=torch.Generator().manual_seed(0)) * 2
    order = logits.argsort()
    ends = logits[order].double().softmax(-1).cumsum(-1)
    parts = torch.empty_like(order).scatter_(0, order, (ends * 20).long().clamp(max=19))
    shares = torch.zeros(20, dtype=torch.float64).index_add_(0, parts, logits.double().softmax(-1))
    drawn = [
        tokens(sampler, [draw(PLAIN, index) for index in range(start, start + 100)], logits.expand(100, -1))
        for start in range(0, 3000, 100)
    ]
    counts = parts[torch.tensor(drawn).flatten()].bincount(minlength=20)
    assert chi_square_fits(counts.numpy(), shares.numpy())


@pytest.mark.parametrize("other", ["seed", "index"])
def test_neighbouring_draws_are_independent(other: str) -> None:
    count = 4000
    values = [uniform(i, 5) if other == "seed" else uniform(5, i) for i in range(count)]
    pairs = np.histogram2d(values[:-1], values[1:], bins=6, range=[[0, 1], [0, 1]])[0].ravel()
    assert chi_square_fits(pairs, np.full(36, 1 / 36))
    assert all(0 <= value < 1 for value in values)

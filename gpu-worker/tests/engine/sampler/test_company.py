"""What a row draws is its own, whatever is beside it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from parley_worker.engine.runner import Sampler
from parley_worker.engine.sampler import Plan
from parley_worker.scheduler.draw import Draw
from parley_worker.scheduler.request import Sampling
from parley_worker.testing.draws import CPU, PENALTIES, SETTINGS, WIDE, draw, kept, tokens
from parley_worker.testing.sampling import GREEDY, PLAIN


def many() -> tuple[list[Draw], torch.Tensor]:
    """Draws of every kind in no order, over a vocabulary whose last block is short. Every fourth row has many ties."""
    settings = [
        *SETTINGS,
        GREEDY,
        replace(PLAIN, top_k=500, top_p=0.9),
        replace(PLAIN, logprobs=3),
        replace(PENALTIES, logprobs=20, top_p=0.9),
        replace(GREEDY, logprobs=0),
    ]
    draws = [draw(replace(settings[i % len(settings)], seed=i // 3), i % 7) for i in range(90)]
    logits = torch.randn(90, 1500, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    logits[::4] = logits[::4].clamp(max=1.0)
    return draws, logits


@pytest.mark.parametrize("threads", [1, 3])
def test_a_draw_is_the_same_alone_and_among_others_to_the_last_bit_of_its_logprobs(
    sampler: Sampler, threads: int
) -> None:
    draws, logits = many()
    torch.set_num_threads(threads)
    try:
        together = sampler(logits.clone(), draws).read()
        backwards = sampler(logits.flip(0).clone(), draws[::-1]).read()[::-1]
        alone = [sampler(logits[i : i + 1].clone(), [one]).read()[0] for i, one in enumerate(draws)]
    finally:
        torch.set_num_threads(1)
    assert together == alone == backwards


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("vocab", [6, 777, 40_001])
@pytest.mark.parametrize(
    "sampling", [PLAIN, replace(PLAIN, top_k=500, top_p=0.9), replace(PLAIN, top_p=0.8, min_p=0.01)]
)
def test_weights_are_the_same_bits_in_any_batch(sampling: Sampling, vocab: int, threads: int) -> None:
    logits = torch.randn(7, vocab, generator=torch.Generator().manual_seed(0)) * 3
    torch.set_num_threads(threads)
    try:
        together = kept(sampling, logits)
        alone = torch.cat([kept(sampling, row.unsqueeze(0)) for row in logits])
    finally:
        torch.set_num_threads(1)
    assert torch.equal(together, alone)


@pytest.mark.parametrize("sampling", [*SETTINGS, GREEDY, replace(PLAIN, top_p=0.5, logprobs=5)])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_row_that_is_not_finite_has_no_token_and_leaves_the_others_alone(
    sampler: Sampler, value: float, sampling: Sampling
) -> None:
    for places in ([2], [140], slice(None), slice(1, None)):
        logits = WIDE.repeat(3, 1)
        logits[1, places] = value
        assert tokens(sampler, [draw(GREEDY), draw(sampling), draw(GREEDY)], logits) == [0, None, 0]


def test_rows_that_are_not_finite_feed_a_token_that_exists_to_the_next_step() -> None:
    logits = WIDE.flip(0).repeat(2, 1)
    logits[0, 140] = math.nan
    sampled = Plan.of([draw(GREEDY)] * 2, 150, CPU).sample(logits)
    assert (sampled.tokens.tolist(), sampled.finite.tolist()) == ([0, 149], [False, True])


def test_no_draws_are_no_tokens(sampler: Sampler) -> None:
    assert sampler(torch.zeros(0, 100), []).read() == []

"""The best of many scores, and draws from many weights, block by block."""

from __future__ import annotations

import pytest
import torch

from parley_worker.engine.sampler.blocks import best, invert, per_block


@pytest.mark.parametrize("vocab", [6, 64, 150, 640])
def test_what_weighs_nothing_is_not_drawn_even_at_the_ends_of_the_distribution(vocab: int) -> None:
    generator = torch.Generator().manual_seed(vocab)
    weights = torch.rand(300, vocab, generator=generator) * (torch.rand(300, vocab, generator=generator) < 0.1)
    weights[:, vocab // 2] += 1e-3
    ends = per_block(weights, torch.sum).double().cumsum(-1)
    for uniforms in (torch.rand(300, dtype=torch.float64, generator=generator), *(ends / ends[:, -1:]).T[:-1]):
        drawn = invert(weights, uniforms)
        assert (weights.gather(-1, drawn.unsqueeze(-1)) > 0).all()
    first, last = (weights > 0).int().argmax(-1), vocab - 1 - (weights.flip(-1) > 0).int().argmax(-1)
    assert torch.equal(invert(weights, torch.zeros(300, dtype=torch.float64)), first)
    assert torch.equal(invert(weights, torch.full((300,), 1 - 2.0**-52, dtype=torch.float64)), last)


@pytest.mark.parametrize("vocab", [6, 64, 70, 640])
def test_the_best_are_the_best_wherever_they_are(vocab: int) -> None:
    scores = torch.linspace(-1.0, 1.0, vocab).repeat(2, 1)
    scores[0] = scores[0].flip(0)
    for count in (1, 5, vocab):
        values, ids = best(scores, per_block(scores, torch.amax), torch.arange(2), count)
        assert torch.equal(values, scores.topk(count).values)
        assert ids.tolist() == [list(range(count)), list(range(vocab - 1, vocab - 1 - count, -1))]

"""What a token's score was."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from parley_worker.engine.runner import Sampler
from parley_worker.scheduler.request import Sampling
from parley_worker.testing.draws import LOGITS, PENALTIES, draw
from parley_worker.testing.sampling import GREEDY, PLAIN


@pytest.mark.parametrize("sampling", [GREEDY, PLAIN, PENALTIES, replace(PENALTIES, top_k=3, temperature=0.3)])
def test_logprobs_are_of_the_scores_as_they_were(sampler: Sampler, sampling: Sampling) -> None:
    logits = torch.randn(4, 150, generator=torch.Generator().manual_seed(2)) * 3
    meant = logits.log_softmax(dim=-1)
    counts = [0, 3, None, 20]
    told = sampler(logits.clone(), [draw(replace(sampling, logprobs=count)) for count in counts]).read()
    for row, (count, drawn) in enumerate(zip(counts, told, strict=True)):
        assert drawn
        if count is None:
            assert (drawn.logprob, drawn.best) == (None, ())
            continue
        values, ids = meant[row].topk(count)
        assert drawn.logprob == pytest.approx(float(meant[row, drawn.token_id]), rel=1e-5, abs=1e-6)
        assert [token for token, _ in drawn.best] == ids.tolist()
        assert [value for _, value in drawn.best] == pytest.approx(values.tolist(), rel=1e-5, abs=1e-6)


def test_logprobs_of_a_small_vocabulary_are_all_there_are(sampler: Sampler) -> None:
    (drawn,) = sampler(LOGITS.unsqueeze(0).clone(), [draw(replace(GREEDY, logprobs=20))]).read()
    assert drawn
    assert [token for token, _ in drawn.best] == list(range(6))
    assert sum(math.exp(value) for _, value in drawn.best) == pytest.approx(1.0)


def test_logprobs_are_numbers_even_where_scores_are_far_apart(sampler: Sampler) -> None:
    (drawn,) = sampler(torch.tensor([[3e38, -3e38, 0.0]]).clone(), [draw(replace(GREEDY, logprobs=20))]).read()
    assert drawn
    assert all(math.isfinite(value) for _, value in drawn.best)

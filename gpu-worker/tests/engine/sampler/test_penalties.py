"""Tokens that were there before."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers.generation import logits_process as oracle

from parley_worker.engine.runner import Sampler
from parley_worker.engine.sampler import Plan
from parley_worker.scheduler.draw import Draw
from parley_worker.scheduler.request import Drawn, Request, Sampling
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.testing.draws import CPU, HISTORY, PENALTIES, draw, tokens
from parley_worker.testing.sampling import GREEDY


@pytest.mark.parametrize("penalty", [0.5, 1.0, 1.7])
def test_a_repetition_penalty_is_that_of_transformers(sampler: Sampler, penalty: float) -> None:
    logits = torch.randn(5, 40, generator=torch.Generator().manual_seed(3))
    theirs = oracle.RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([HISTORY] * 5), logits.clone())
    penalized_draws = [draw(replace(GREEDY, repetition_penalty=penalty))] * 5
    assert tokens(sampler, penalized_draws, logits) == theirs.argmax(-1).tolist()
    ours = penalized(replace(GREEDY, repetition_penalty=penalty), logits)
    assert torch.equal(ours, theirs)


def test_presence_and_frequency_count_the_answer_alone() -> None:
    logits = torch.zeros(1, 8)
    changed = penalized(replace(GREEDY, presence_penalty=0.5, frequency_penalty=0.25), logits)
    # The answer is 1, 0, 0, 5; the prompt 0, 1, 2, 2.
    assert changed.tolist() == [[-1.0, -0.75, 0.0, 0.0, 0.0, -0.75, 0.0, 0.0]]


def penalized(sampling: Sampling, logits: torch.Tensor) -> torch.Tensor:
    scores = logits.clone()
    Plan.of([draw(sampling)] * len(logits), logits.shape[-1], CPU).sample(scores)
    return scores


@pytest.mark.parametrize("value", [1e-300, 1e300])
def test_extreme_penalties_make_no_score_infinite(sampler: Sampler, value: float) -> None:
    sampling = replace(GREEDY, repetition_penalty=value)
    assert tokens(sampler, [draw(sampling)], torch.tensor([[0.0, 5.0, -5.0, 1.0, 1.5, 3.0]])) == [1 if value < 1 else 4]


def test_a_resumed_answer_is_penalized_as_the_one_before() -> None:
    sampling = replace(PENALTIES, seed=9, presence_penalty=2.0, frequency_penalty=2.0)
    running = Request(tuple(HISTORY[:4]), 0, 100, frozenset(), sampling, id="r")
    resumed = replace(running, token_ids=tuple(HISTORY), answered=4)
    draws = [next_draw(running, HISTORY[4:]), next_draw(resumed, [])]
    scores = torch.randn(1, 30, generator=torch.Generator().manual_seed(5)).repeat(2, 1)
    unchanged = scores[0].clone()
    first, second = Plan.of(draws, 30, CPU).sample(scores).read()
    assert first == second
    assert torch.equal(*scores)
    assert not torch.equal(scores[0], unchanged)


def next_draw(request: Request, answer: list[int]) -> Draw:
    """The draw that follows when the tokens of `answer` were drawn."""
    scheduler = Scheduler(blocks=8, capacity=2, window=64, step_tokens=64)
    scheduler.add(request)
    for token in answer:
        scheduler.update(scheduler.schedule(0.0), [Drawn(token)])
    (found,) = scheduler.schedule(0.0).draws
    return found


def test_lists_of_tokens_may_grow_once_the_plan_is_made() -> None:
    history = list(HISTORY)
    plan = Plan.of([Draw(replace(GREEDY, repetition_penalty=2.0), 4, history, 4)], 6, CPU)
    history.append(3)
    assert plan.sample(torch.tensor([[0.0, 0.0, 0.0, 1.0, 0.6, 0.0]])).read() == [Drawn(3)]

"""Answers do not depend on what the scheduler does: little memory, small steps, shared prefixes, drafts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from parley_worker.scheduler.request import Request, Sampling
from parley_worker.scheduler.stats import StepStats
from parley_worker.testing.checkpoints import SHAPES, all_cases
from parley_worker.testing.sampling import GREEDY
from parley_worker.testing.segments import make_tokens

SAMPLED = Sampling(temperature=0.8, top_k=40, top_p=0.95, repetition_penalty=1.1, seed=0, presence_penalty=0.3)
CASES = all_cases()


class Echo:
    """Drafts what followed when the last token stood there before: sometimes right, sometimes wrong."""

    streams = 4

    def propose(self, tokens: list[int], limit: int) -> list[int]:
        places = [place for place in range(len(tokens) - 1) if tokens[place] == tokens[-1]]
        return tokens[places[-1] + 1 :][: min(limit, 3)] if places else []

    def observe(self, proposed: int, accepted: int) -> None:
        """It never gives up."""


def conversations(sampling: Sampling) -> list[Request]:
    """Prompts that begin alike, and of others one that is as long as it may be."""
    shared = make_tokens(40, seed=1)
    prompts = [shared + make_tokens(size, size) for size in (1, 9, 24)]
    prompts += [make_tokens(90, seed=5), make_tokens(3, seed=6)]
    return [
        Request(prompt, 0, answer, frozenset(), replace(sampling, seed=index), id=f"{index}")
        for index, (prompt, answer) in enumerate(zip(prompts, (50, 40, 30, 70, 60), strict=True))
    ]


def go_on(request: Request, answer: list[int]) -> Request:
    """The next turn of a conversation: all that was said, and something more."""
    tokens = request.token_ids + tuple(answer) + make_tokens(7, seed=7)
    return replace(request, id=f"{request.id}, next", token_ids=tokens, max_tokens=20)


def drive_hard(drive: Any, folder: Path, requests: list[Request], turns: list[Request]) -> tuple[Any, list[StepStats]]:
    """At most 4 sequences of up to 10 blocks in 16, in steps of 24 tokens."""
    seen: list[StepStats] = []
    arrivals = {0: requests[:3], 2: requests[3:], 260: turns}
    answers = drive(folder, arrivals, capacity=4, blocks=16, budget=24, proposer=Echo(), seen=seen)
    return {name: tokens for name, (tokens, _) in answers.items()}, seen


@pytest.mark.parametrize("case", [*SHAPES, "rope: dynamic"])
def test_greedy_answers_are_those_of_generate(
    new_checkpoint: Callable[..., Path], new_oracle: Any, drive: Any, case: str
) -> None:
    folder = new_checkpoint(**CASES[case])
    oracle, requests = new_oracle(folder), conversations(GREEDY)
    expected = {request.id: oracle.answer(request.token_ids, request.max_tokens) for request in requests}
    turns = [go_on(request, expected[request.id]) for request in requests[:2]]
    expected |= {request.id: oracle.answer(request.token_ids, request.max_tokens) for request in turns}
    answers, seen = drive_hard(drive, folder, requests, turns)
    assert answers == expected
    assert sum(step.preemptions for step in seen) > 0
    assert sum(step.drafts_proposed for step in seen) > sum(step.drafts_accepted for step in seen)
    assert (sum(step.prefix_hits for step in seen) > 0) == (case != "rope: dynamic")


@pytest.mark.parametrize("case", ["llama", "qwen3, sliding, biases", "rope: dynamic"])
def test_sampled_answers_are_those_of_a_quiet_engine(
    new_checkpoint: Callable[..., Path], drive: Any, case: str
) -> None:
    folder = new_checkpoint(**CASES[case])
    requests = conversations(SAMPLED)
    expected = {request.id: drive(folder, {0: [request]})[request.id][0] for request in requests}
    turns = [go_on(request, expected[request.id]) for request in requests[:2]]
    expected |= {request.id: drive(folder, {0: [request]})[request.id][0] for request in turns}
    answers, seen = drive_hard(drive, folder, requests, turns)
    assert answers == expected
    assert sum(step.preemptions for step in seen) > 0


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("answered", [1, 15, 29])
@pytest.mark.parametrize("case", ["qwen2", "rope: dynamic"])
def test_an_answer_goes_on_where_an_earlier_attempt_stopped(
    new_checkpoint: Callable[..., Path], drive: Any, case: str, sampling: Sampling, answered: int
) -> None:
    """Beside others, and in chunks; another engine had streamed the beginning."""
    folder = new_checkpoint(**CASES[case])
    prompt = make_tokens(50, seed=8)
    request = Request(prompt, 0, 30, frozenset(), replace(sampling, seed=5), id="0")
    expected = drive(folder, {0: [request]})["0"]
    resumed = replace(request, token_ids=prompt + tuple(expected[0][:answered]), answered=answered)
    others = [replace(other, id=f"other {other.id}") for other in conversations(sampling)]
    answers = drive(folder, {0: others[:3], 1: [resumed]}, budget=24)
    assert answers["0"] == (expected[0][answered:], expected[1])

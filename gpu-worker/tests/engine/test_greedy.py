"""Greedy answers are those of transformers' generate, whatever else is in the batch."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parley_worker.core import FinishReason
from parley_worker.scheduler.request import Request, Sampling
from parley_worker.testing.sampling import GREEDY

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
SHAPES: dict[str, dict[str, Any]] = {
    "grouped": {},
    "multi-head, tied": {"num_key_value_heads": 4, "tie_word_embeddings": True},
    "multi-query, wide heads, biases": {
        "num_key_value_heads": 1,
        "head_dim": 16,
        "attention_bias": True,
        "mlp_bias": True,
    },
    "linear rope": {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10_000.0}},
    "llama3 rope": {"rope_parameters": LLAMA3},
}


@pytest.fixture(scope="module")
def oracle(checkpoint: Path, new_oracle: Any) -> Any:
    return new_oracle(checkpoint)


def make_requests(count: int, sampling: Sampling = GREEDY) -> list[Request]:
    """Short and long prompts and answers."""
    rng = random.Random(7)
    lengths = [(rng.choice([1, 2, 9, 33, 80]), rng.choice([1, 5, 30, 60])) for _ in range(count)]
    return [
        Request(tuple(rng.randrange(280) for _ in range(prompt)), 0, answer, frozenset(), sampling, id=str(index))
        for index, (prompt, answer) in enumerate(lengths)
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_answer_of_a_mixed_batch_is_that_of_generate(
    new_checkpoint: Callable[..., Path], new_oracle: Any, drive: Any, shape: str
) -> None:
    folder = new_checkpoint(**SHAPES[shape])
    requests = make_requests(10)
    # More requests than run at once, arriving in waves, with prompts cut into pieces by a small budget.
    arrivals = {0: requests[:3], 2: requests[3:4], 5: requests[4:8], 30: requests[8:]}
    answers = drive(folder, arrivals, capacity=4, budget=24)
    oracle = new_oracle(folder)
    for request in requests:
        assert answers[request.id] == (oracle.answer(request.token_ids, request.max_tokens), FinishReason.LENGTH)


def test_repetition_penalty_counts_the_prompt_as_generate_does(checkpoint: Path, drive: Any, oracle: Any) -> None:
    requests = make_requests(8, Sampling(0.0, 0, 1.0, 1.4, 0))
    answers = drive(checkpoint, {0: requests})
    for request in requests:
        expected = oracle.answer(request.token_ids, request.max_tokens, repetition_penalty=1.4)
        assert answers[request.id][0] == expected
    longest = max(requests, key=lambda request: request.max_tokens)
    assert answers[longest.id][0] != oracle.answer(longest.token_ids, longest.max_tokens)


def test_an_end_token_ends_the_answer_and_is_its_last_token(checkpoint: Path, drive: Any, oracle: Any) -> None:
    prompt = (5, 6, 7)
    end = oracle.answer(prompt, 20)[10]
    answers = drive(checkpoint, {0: [Request(prompt, 0, 20, frozenset({end}), GREEDY, id="0")]})
    assert answers["0"] == (oracle.answer(prompt, 20, eos=end), FinishReason.STOP)


def test_the_window_ends_an_answer(checkpoint: Path, drive: Any, oracle: Any) -> None:
    prompt = tuple(range(1, 151))
    answers = drive(checkpoint, {0: [Request(prompt, 0, 1000, frozenset(), GREEDY, id="0")]})
    assert answers["0"] == (oracle.answer(prompt, 10), FinishReason.LENGTH)


def test_an_answer_goes_on_where_an_earlier_attempt_stopped(checkpoint: Path, drive: Any, oracle: Any) -> None:
    prompt, expected = (5, 6, 7), oracle.answer((5, 6, 7), 24)
    resumed = Request(prompt + tuple(expected[:9]), 9, 24, frozenset(), GREEDY, id="0")
    assert drive(checkpoint, {0: [resumed]})["0"] == (expected[9:], FinishReason.LENGTH)


@pytest.mark.parametrize("poisoned_at", [0, 1])
def test_scores_that_are_not_finite_fail_their_request_alone(
    new_checkpoint: Callable[..., Path], new_oracle: Any, drive: Any, poison: Any, poisoned_at: int
) -> None:
    """A short request computes in blocks that the poisoned one left, beside a long neighbour."""
    folder = new_checkpoint()
    bad_token = 299
    poison(folder, bad_token)
    long = Request(tuple(range(80)), 0, 40, frozenset(), GREEDY, id="long")
    short = Request((3, 4), 0, 20, frozenset(), GREEDY, id="short")
    oracle = new_oracle(folder)
    expected = {request.id: oracle.answer(request.token_ids, request.max_tokens) for request in (long, short)}
    bad = Request((1, 2, bad_token, *range(30)), 0, 30, frozenset(), GREEDY, id="bad")
    first = [bad, long] if poisoned_at == 0 else [long, bad]
    answers = drive(folder, {0: first, 1: [short]}, capacity=2, budget=40, blocks=11)
    assert answers.pop("bad") == ([], None)
    assert {name: tokens for name, (tokens, _) in answers.items()} == expected


def test_a_checkpoint_as_transformers_4_wrote_it_is_the_same_model(
    checkpoint: Path, tmp_path: Path, drive: Any
) -> None:
    request = make_requests(1)[0]
    expected = drive(checkpoint, {0: [request]})
    config = json.loads((checkpoint / "config.json").read_text())
    config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
    config["rope_scaling"] = None
    config["torch_dtype"] = config.pop("dtype")
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").symlink_to(checkpoint / "model.safetensors")
    assert drive(tmp_path, {0: [request]}) == expected

"""Every architecture gives the tokens of transformers' generate: alone, in mixed batches, across every border."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from parley_worker.core import FinishReason
from parley_worker.models.config import read_model_config
from parley_worker.models.rotary import frequencies, grown_frequencies
from parley_worker.scheduler.request import Request
from parley_worker.testing.checkpoints import ROPES, SHAPES, roped
from parley_worker.testing.sampling import GREEDY


def make_requests(count: int = 6) -> list[Request]:
    """Short and long prompts and answers, one of them up to the end of the window."""
    rng = random.Random(11)
    lengths = [(100, 60), *((rng.choice([1, 7, 33, 80]), rng.choice([1, 20, 60])) for _ in range(count - 1))]
    return [
        Request(tuple(rng.randrange(280) for _ in range(prompt)), 0, answer, frozenset(), GREEDY, id=str(index))
        for index, (prompt, answer) in enumerate(lengths)
    ]


def assert_equal(folder: Path, drive: Any, oracle: Any) -> None:
    """Requests in waves, more than there are slots, with prompts cut into pieces; and some of them alone."""
    requests = make_requests()
    answers = drive(folder, {0: requests[:2], 3: requests[2:4], 20: requests[4:]}, capacity=3, budget=24)
    expected = {r.id: (oracle.answer(r.token_ids, r.max_tokens), FinishReason.LENGTH) for r in requests}
    assert answers == expected
    for request in requests[:2]:
        assert drive(folder, {0: [request]})[request.id] == expected[request.id]


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def write_as_transformers_4(config: dict[str, Any]) -> None:
    parameters = config.pop("rope_parameters")
    config["rope_theta"] = parameters.pop("rope_theta")
    parameters["type"] = parameters.pop("rope_type")
    config["rope_scaling"] = None if parameters["type"] == "default" else parameters
    config["torch_dtype"] = config.pop("dtype")


@pytest.mark.parametrize("shape", SHAPES)
def test_every_architecture_equals_generate(
    new_checkpoint: Callable[..., Path], new_oracle: Any, drive: Any, shape: str
) -> None:
    folder = new_checkpoint(architecture=shape.split(",")[0], **SHAPES[shape])
    assert_equal(folder, drive, new_oracle(folder))


@pytest.mark.parametrize("rope", ROPES)
@pytest.mark.parametrize("version", [4, 5])
def test_every_rope_scaling_equals_generate_beyond_the_trained_length(
    new_checkpoint: Callable[..., Path], new_oracle: Any, drive: Any, rope: str, version: int
) -> None:
    folder = new_checkpoint(architecture=("qwen3", "qwen2")[version % 2], head_dim=12, **roped(rope))
    if version == 4:
        edit(folder, write_as_transformers_4)
    assert read_model_config(folder).window == 160
    assert_equal(folder, drive, new_oracle(folder))


@pytest.mark.parametrize("rope", [name for name in ROPES if name != "default"])
@pytest.mark.parametrize("head_dim", [12, 64, 128])
def test_rope_frequencies_are_those_of_transformers_to_the_bit(tmp_path: Path, rope: str, head_dim: int) -> None:
    parameters = {"rope_theta": 500_000.0, **ROPES[rope]}
    positions = parameters.pop("max_position_embeddings", 160)
    theirs = AutoConfig.for_model(
        "llama", head_dim=head_dim, rope_parameters=parameters, max_position_embeddings=positions
    )
    theirs.architectures = ["LlamaForCausalLM"]
    theirs.save_pretrained(tmp_path)
    ours = read_model_config(tmp_path).rope
    expected, amplitude = ROPE_INIT_FUNCTIONS[ours.kind](theirs)
    assert torch.equal(frequencies(ours, head_dim), expected)
    assert ours.amplitude == amplitude
    if ours.kind == "dynamic":
        lengths = torch.tensor([41, 99, 160])
        grown = [ROPE_INIT_FUNCTIONS["dynamic"](theirs, seq_len=length)[0] for length in lengths]
        torch.testing.assert_close(grown_frequencies(ours, head_dim, lengths), torch.stack(grown), rtol=3e-7, atol=0)


def test_an_answer_in_dynamic_rope_goes_on_where_an_earlier_attempt_stopped(
    new_checkpoint: Callable[..., Path], new_oracle: Any, drive: Any
) -> None:
    parameters = {"rope_theta": 10_000.0, "rope_type": "dynamic", "factor": 4.0}
    folder = new_checkpoint(rope_parameters=parameters, max_position_embeddings=40)
    prompt = make_requests()[0].token_ids[:50]
    expected = new_oracle(folder).answer(prompt, 60)
    resumed = Request(prompt + tuple(expected[:30]), 30, 60, frozenset(), GREEDY, id="0")
    assert drive(folder, {0: [resumed]}, budget=7)["0"] == (expected[30:], FinishReason.LENGTH)


@pytest.mark.parametrize("poisoned_at", [0, 1])
def test_what_slid_out_of_the_window_never_reaches_the_blocks_next_sequence(
    new_checkpoint: Callable[..., Path], new_oracle: Any, drive: Any, poison: Any, poisoned_at: int
) -> None:
    """The bad token is so far back that the answer after it is sound; only the cache still holds what it computed."""
    folder = new_checkpoint(architecture="mistral", sliding_window=8)
    bad_token = 299
    poison(folder, bad_token)
    long = Request(tuple(range(90)), 0, 60, frozenset(), GREEDY, id="long")
    short = Request((3, 4), 0, 20, frozenset(), GREEDY, id="short")
    oracle = new_oracle(folder)
    expected = {request.id: oracle.answer(request.token_ids, request.max_tokens) for request in (long, short)}
    bad = Request((1, 2, bad_token, *range(60)), 0, 3, frozenset(), GREEDY, id="bad")
    first = [bad, long] if poisoned_at == 0 else [long, bad]
    answers = drive(folder, {0: first, 1: [short]}, capacity=2, budget=8, blocks=14)
    assert len(answers.pop("bad")[0]) == 3
    assert {name: tokens for name, (tokens, _) in answers.items()} == expected


@pytest.mark.parametrize("file_dtype", [torch.bfloat16, torch.float16])
def test_a_half_precision_file_in_shards_is_served_exactly_in_float32(
    new_checkpoint: Callable[..., Path], new_oracle: Any, drive: Any, file_dtype: torch.dtype
) -> None:
    folder = new_checkpoint(architecture="qwen3", file_dtype=file_dtype, shard_size="30KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    assert_equal(folder, drive, new_oracle(folder))


@pytest.mark.parametrize("differs", [False, True])
def test_a_head_in_the_file_of_a_tied_model_counts_if_it_differs(
    new_checkpoint: Callable[..., Path], new_oracle: Any, drive: Any, differs: bool
) -> None:
    folder = new_checkpoint(tie_word_embeddings=True)
    weights = load_file(folder / "model.safetensors")
    head = weights["model.embed_tokens.weight"].flip(0) if differs else weights["model.embed_tokens.weight"].clone()
    save_file({**weights, "lm_head.weight": head.contiguous()}, folder / "model.safetensors", {"format": "pt"})
    assert_equal(folder, drive, new_oracle(folder))


def test_a_tied_model_may_hold_its_matrix_as_the_head(
    new_checkpoint: Callable[..., Path], new_oracle: Any, drive: Any
) -> None:
    folder = new_checkpoint(tie_word_embeddings=True)
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"] = weights.pop("model.embed_tokens.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert_equal(folder, drive, new_oracle(folder))

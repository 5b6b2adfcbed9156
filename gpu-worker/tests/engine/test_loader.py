"""Checkpoint folders: what is honoured, what is refused, and how it is said."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from parley_worker.config import EngineConfig
from parley_worker.engine.errors import EngineConfigError
from parley_worker.engine.plan import choose_device, choose_dtype, choose_threads, count_physical_cores, plan_cache
from parley_worker.models.config import read_model_config
from parley_worker.models.errors import CheckpointError
from parley_worker.models.generation import GenerationDefaults, read_generation_defaults
from parley_worker.models.loader import load_model
from parley_worker.models.rope import RopeConfig
from parley_worker.scheduler.request import Request, Sampling

CPU = torch.device("cpu")


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(checkpoint, tmp_path / "copy")


def edit(folder: Path, name: str = "config.json", **changes: Any) -> None:
    path = folder / name
    values = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**values, **changes}))


def load(folder: Path) -> None:
    load_model(folder, torch.float32, CPU)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architectures": ["GPT2LMHeadModel"]}, "architectures.*supported: LlamaForCausalLM"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu'"),
        ({"sliding_window": 64}, "sliding_window 64"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
        ({"rope_parameters": {"rope_type": "longrope"}}, "rope_type 'longrope'.*supported: default, linear, dynamic"),
        ({"rope_parameters": None, "rope_scaling": {"type": "mrope"}}, "rope_type 'mrope'"),
        ({"rope_parameters": {"rope_type": "linear"}}, "factor must be a number"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ({"hidden_size": "48"}, "hidden_size must be a whole number"),
        ({"hidden_size": None}, "hidden_size must be a whole number"),
        ({"num_key_value_heads": 3}, "num_key_value_heads must divide"),
        ({"head_dim": 7}, "head_dim must be even"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings must be true or false"),
        ({"eos_token_id": [1, "2"]}, "eos_token_id must be token ids"),
        ({"rms_norm_eps": 0}, "rms_norm_eps must be a number over 0"),
    ],
)
def test_a_config_that_cannot_be_honoured_is_refused_by_key(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    edit(folder, **changes)
    with pytest.raises(CheckpointError, match=rf"config\.json: {message}") as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_rope_is_read_as_either_transformers_wrote_it(folder: Path) -> None:
    edit(folder, rope_parameters={"rope_type": "linear", "factor": 2, "rope_theta": 5e5})
    new = read_model_config(folder).rope
    edit(folder, rope_parameters=None, rope_theta=5e5, rope_scaling={"type": "linear", "factor": 2.0})
    assert read_model_config(folder).rope == new == RopeConfig(5e5, "linear", 2.0)


def test_a_sharded_checkpoint_is_the_same_model(checkpoint: Path, folder: Path, drive: Any) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    shards = {"one.safetensors": names[::2], "two.safetensors": names[1::2]}
    for file, held in shards.items():
        save_file({name: weights[name] for name in held}, folder / file)
    weight_map = {name: file for file, held in shards.items() for name in held}
    edit(folder, "model.safetensors.index.json", weight_map=weight_map)
    request = Request("0", (1, 2, 3), 0, 20, frozenset(), Sampling(0.0, 0, 1.0, 1.0, 0))
    assert drive(folder, {0: [request]}) == drive(checkpoint, {0: [request]})
    (folder / "two.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"two\.safetensors: is missing"):
        load(folder)
    edit(folder, "model.safetensors.index.json", weight_map={"model.norm.weight": "../elsewhere"})
    with pytest.raises(CheckpointError, match="must be a file name"):
        load(folder)


def _truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _drop(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors")


def _reshape(folder: Path) -> None:
    edit(folder, intermediate_size=96)


def _quantize(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"].to(torch.int8)
    save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_truncate, r"model\.safetensors: cannot be read"),
        (_pickle, r"pytorch_model\.bin: pickled checkpoints are refused"),
        (_drop, r"model\.safetensors: model\.layers\.1\.mlp\.up_proj\.weight is missing"),
        (_reshape, r"gate_proj\.weight has the shape \(80, 48\), config\.json means \(96, 48\)"),
        (_quantize, "quantized checkpoints are not supported"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"model\.safetensors: is missing"),
        (lambda folder: (folder / "config.json").write_text("{"), r"config\.json: is not JSON"),
        (lambda folder: (folder / "config.json").unlink(), r"config\.json: cannot be read: No such file"),
    ],
)
def test_spoilt_files_are_named(folder: Path, spoil: Callable[[Path], object], message: str) -> None:
    spoil(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_defaults_come_from_the_generation_config_then_from_the_config(folder: Path) -> None:
    (folder / "generation_config.json").unlink()
    assert read_generation_defaults(folder, frozenset({5})) == GenerationDefaults(eos_ids=frozenset({5}))
    edit(
        folder,
        "generation_config.json",
        temperature=0.4,
        top_k=20,
        top_p=0.9,
        repetition_penalty=1.2,
        max_new_tokens=30,
        eos_token_id=[1, 2],
        max_length=20,
        num_beams=1,
    )
    expected = GenerationDefaults(0.4, 20, 0.9, 1.2, 30, frozenset({1, 2}))
    assert read_generation_defaults(folder, frozenset({5})) == expected
    edit(folder, "generation_config.json", do_sample=False)
    assert read_generation_defaults(folder, frozenset({5})).temperature == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_beams", 4),
        ("no_repeat_ngram_size", 2),
        ("min_p", 0.1),
        ("suppress_tokens", [3]),
        ("top_p", 2),
        ("top_k", -1),
    ],
)
def test_a_generation_config_that_cannot_be_honoured_is_refused(folder: Path, key: str, value: object) -> None:
    edit(folder, "generation_config.json", **{key: value})
    with pytest.raises(CheckpointError, match=rf"generation_config\.json: {key}"):
        read_generation_defaults(folder, frozenset())


def test_the_cache_is_planned_within_its_bytes(checkpoint: Path) -> None:
    model = read_model_config(checkpoint)
    window_bytes = model.window * model.kv_bytes_per_token(4)

    def plan(kv_bytes: int) -> tuple[int, int]:
        return plan_cache(EngineConfig(checkpoint, capacity=4, kv_bytes=kv_bytes), model, torch.float32)

    assert plan(100 * window_bytes) == (4, model.window)
    assert plan(3 * window_bytes - 1) == (2, model.window)
    assert plan(window_bytes // 2) == (1, model.window // 2)
    with pytest.raises(EngineConfigError, match="kv_bytes"):
        plan(10)


def test_auto_is_float32_on_a_cpu_and_a_device_must_exist(checkpoint: Path) -> None:
    assert choose_dtype(EngineConfig(checkpoint), CPU) is torch.float32
    with pytest.raises(EngineConfigError, match="device 'tpu9'"):
        choose_device(EngineConfig(checkpoint, device="tpu9"))


def test_a_small_model_runs_on_one_thread_unless_told_otherwise(folder: Path) -> None:
    small = read_model_config(folder)
    assert choose_threads(EngineConfig(folder), small) == 1
    assert choose_threads(EngineConfig(folder, threads=3), small) == 3
    large = replace(small, vocab_size=1_000_000)
    assert choose_threads(EngineConfig(folder), large) == count_physical_cores() <= len(os.sched_getaffinity(0))


def test_parameters_are_those_of_the_checkpoint(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    expected = sum(tensor.numel() for name, tensor in weights.items() if tensor.dim() == 2 and name != "lm_head.weight")
    assert read_model_config(folder).parameters == expected


def test_bfloat16_serves_the_same_checkpoint(folder: Path, drive: Any) -> None:
    greedy = Sampling(0.0, 0, 1.0, 1.0, 0)
    requests = [Request(str(index), tuple(range(index * 9 + 1)), 0, 8, frozenset(), greedy) for index in range(4)]
    assert load_model(folder, torch.bfloat16, CPU).dtype is torch.bfloat16
    rounded, exact = drive(folder, {0: requests}, dtype=torch.bfloat16), drive(folder, {0: requests})
    assert all(len(tokens) == 8 for tokens, _ in rounded.values())
    assert rounded["0"][0][0] == exact["0"][0][0]

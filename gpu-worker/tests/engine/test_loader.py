"""The files of checkpoint folders: what is refused and how it is said, and what they come to in the engine."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from parley_worker.config import EngineConfig
from parley_worker.engine.errors import EngineConfigError
from parley_worker.engine.machine import choose_device, choose_dtype
from parley_worker.models import weights as weights_module
from parley_worker.models.config import read_model_config
from parley_worker.models.errors import CheckpointError
from parley_worker.models.generation import GenerationDefaults, read_generation_defaults
from parley_worker.models.loader import load_model
from parley_worker.scheduler.request import Request, Sampling

CPU = torch.device("cpu")


def load(folder: Path) -> None:
    load_model(folder, torch.float32, CPU)


def test_a_sharded_checkpoint_is_the_same_model(edit: Any, checkpoint: Path, folder: Path, drive: Any) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    shards = {"one.safetensors": names[::2], "two.safetensors": names[1::2]}
    for file, held in shards.items():
        save_file({name: weights[name] for name in held}, folder / file)
    weight_map = {name: file for file, held in shards.items() for name in held}
    edit(folder, "model.safetensors.index.json", weight_map=weight_map)
    request = Request((1, 2, 3), 0, 20, frozenset(), Sampling(0.0, 0, 1.0, 1.0, 0), id="0")
    assert drive(folder, {0: [request]}) == drive(checkpoint, {0: [request]})
    save_file({name: weights[name] for name in names[3::2]}, folder / "two.safetensors")
    with pytest.raises(CheckpointError, match=rf"two\.safetensors: {names[1]} is missing"):
        load(folder)
    _truncate(folder, "two.safetensors")
    with pytest.raises(CheckpointError, match=r"two\.safetensors: cannot be read"):
        load(folder)
    (folder / "two.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"two\.safetensors: is missing"):
        load(folder)
    edit(folder, "model.safetensors.index.json", weight_map={"model.norm.weight": "../elsewhere"})
    with pytest.raises(CheckpointError, match="must be a file name"):
        load(folder)


def _truncate(folder: Path, name: str = "model.safetensors") -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-100])


def _pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _drop(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors")


def _reshape(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 96}))


def _change(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        weights[name] = change(weights.get(name, torch.ones(1)))
        save_file(weights, folder / "model.safetensors")

    return spoil


def _poison(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """Spoils the last number, which a check of the first block alone would miss."""
    return lambda tensor: tensor.index_fill(0, torch.tensor([len(tensor) - 1]), value)


def _last_first(folder: Path) -> None:
    """What is wrong with the shape of the last tensor is said before the first one is read."""
    _change("model.embed_tokens.weight", _poison(math.nan))(folder)
    _change("model.norm.weight", lambda tensor: tensor[1:].clone())(folder)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_truncate, r"model\.safetensors: cannot be read"),
        (_pickle, r"pytorch_model\.bin: pickled checkpoints are refused"),
        (_drop, r"model\.safetensors: model\.layers\.1\.mlp\.up_proj\.weight is missing"),
        (_reshape, r"gate_proj\.weight has the shape \(80, 48\), config\.json means \(96, 48\)"),
        (_last_first, r"model\.norm\.weight has the shape \(47,\), config\.json means \(48,\)"),
        (_change("model.norm.weight", lambda t: t.to(torch.int8)), "norm.weight is I8: quantized checkpoints are not"),
        (_change("model.norm.weight", lambda t: t.to(torch.float8_e4m3fn)), "norm.weight is F8_E4M3: quantized"),
        (_change("model.norm.weight", _poison(math.nan)), r"model\.norm\.weight holds values that are not finite"),
        (_change("lm_head.weight", _poison(math.inf)), r"lm_head\.weight holds values that are not finite"),
        (_change("model.layers.1.mlp.up_proj.weight", _poison(-math.inf)), r"1\.mlp\.up_proj\.weight holds values"),
        (_change("model.layers.0.self_attn.q_norm.weight", abs), r"q_norm\.weight has no place in a LlamaForCausalLM"),
        (_change("model.layers.0.mlp.up_proj.bias", abs), r"mlp\.up_proj\.bias has no place"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), r"model\.safetensors: cannot be read"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"{}" * 99), r"model\.safetensors: cannot be read"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"model\.safetensors: is missing"),
        (lambda folder: (folder / "config.json").write_text("{"), r"config\.json: is not JSON"),
        (lambda folder: (folder / "config.json").unlink(), r"config\.json: cannot be read: No such file"),
    ],
)
def test_spoilt_files_are_named(
    open_executor: Any, folder: Path, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        open_executor(folder, 8)
    assert "\n" not in str(caught.value)


def test_the_rotary_frequencies_of_old_checkpoints_are_no_surprise(folder: Path) -> None:
    _change("model.layers.0.self_attn.rotary_emb.inv_freq", abs)(folder)
    load(folder)


PEAK = r"""
import re, sys
from pathlib import Path
import torch
from parley_worker.models.loader import load_model

def bytes_of(key):
    return int(re.search(key + r":\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

torch.set_num_threads(1)
torch.aminmax(torch.ones(1 << 10).to(torch.bfloat16).float())  # what torch loads at first use is not the model's
before = bytes_of("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
arithmetic = sys.argv[2]
int8 = arithmetic == "int8"
dtype = torch.float32 if int8 else getattr(torch, arithmetic)
model = load_model(Path(sys.argv[1]), dtype, torch.device("cpu"), int8=int8)
weights = model.config.parameters * (1 if int8 else model.dtype.itemsize)
print((bytes_of("VmHWM") - before) / weights, (bytes_of("VmRSS") - before) / weights)
"""


@pytest.mark.parametrize(("dtype", "most"), [("float32", 1.15), ("bfloat16", 1.15), ("int8", 1.4)])
def test_loading_takes_the_memory_of_the_weights_once(
    new_checkpoint: Callable[..., Path], dtype: str, most: float
) -> None:
    """The file is bfloat16: held beside the weights it would add a half of them, as much again, or twice as much.

    Of int8 weights, the pieces alone are a quarter in a model as small as this.
    """
    folder = new_checkpoint(
        hidden_size=1024,
        intermediate_size=2048,
        num_hidden_layers=8,
        num_attention_heads=16,
        num_key_value_heads=8,
        file_dtype=torch.bfloat16,
        shard_size="30MB",
    )
    command = [sys.executable, "-c", PEAK, str(folder), dtype]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=50)
    peak, after = map(float, done.stdout.split())
    assert 0.9 < after <= peak <= most


def test_a_tensor_in_many_pieces_is_the_same_and_checked_to_its_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_model(folder, torch.float32, CPU).weights
    monkeypatch.setattr(weights_module, "_BLOCK_ELEMENTS", 100)
    pieces = load_model(folder, torch.float32, CPU).weights
    assert torch.equal(whole.embedding, pieces.embedding)
    assert torch.equal(whole.layers[1].qkv.weight, pieces.layers[1].qkv.weight)
    _change("model.layers.1.mlp.up_proj.weight", _poison(math.nan))(folder)
    with pytest.raises(CheckpointError, match="up_proj"):
        load(folder)


def test_defaults_come_from_the_generation_config_then_from_the_config(edit: Any, folder: Path) -> None:
    (folder / "generation_config.json").unlink()
    assert read_generation_defaults(folder, frozenset({5})) == GenerationDefaults(eos_ids=frozenset({5}))
    edit(
        folder,
        "generation_config.json",
        temperature=0.4,
        top_k=20,
        top_p=0.9,
        min_p=0.05,
        repetition_penalty=1.2,
        max_new_tokens=30,
        eos_token_id=[1, 2],
        max_length=20,
        num_beams=1,
    )
    expected = GenerationDefaults(0.4, 20, 0.9, 1.2, 30, frozenset({1, 2}), 0.05)
    assert read_generation_defaults(folder, frozenset({5})) == expected
    edit(folder, "generation_config.json", do_sample=False)
    assert read_generation_defaults(folder, frozenset({5})).temperature == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_beams", 4),
        ("no_repeat_ngram_size", 2),
        ("min_p", 2),
        ("suppress_tokens", [3]),
        ("top_p", 2),
        ("top_k", -1),
    ],
)
def test_a_generation_config_that_cannot_be_honoured_is_refused(
    edit: Any, folder: Path, key: str, value: object
) -> None:
    edit(folder, "generation_config.json", **{key: value})
    with pytest.raises(CheckpointError, match=rf"generation_config\.json: {key}"):
        read_generation_defaults(folder, frozenset())


def test_auto_is_float32_on_a_cpu_and_a_device_must_exist(checkpoint: Path) -> None:
    assert choose_dtype(EngineConfig(checkpoint), CPU) is torch.float32
    with pytest.raises(EngineConfigError, match="device 'tpu9'"):
        choose_device(EngineConfig(checkpoint, device="tpu9"))


def test_parameters_are_those_of_the_checkpoint(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    expected = sum(tensor.numel() for name, tensor in weights.items() if tensor.dim() == 2 and name != "lm_head.weight")
    assert read_model_config(folder).parameters == expected

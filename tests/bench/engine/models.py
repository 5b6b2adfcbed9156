"""Random checkpoints of real shapes, each as a Hugging Face folder and as GGUF files of the same weights.

    PYTHONPATH=tests .venv/bin/python tests/bench/engine/models.py

They are written once, into ~/.cache/parley/bench-models (6 GB). Greedy text of random weights repeats itself, which is
nothing to the speed of a step but would flatter speculation: benches that compare engines leave that off. `models.py
check` compares the scores of llama.cpp on the float32 file with those of transformers: both must compute the same
model.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from bench.engine.parts.vocabulary import write_tokenizer
from bench.engine.peers import Peers, cache_folder, ensure_converter, ensure_peers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

WRITER = Path(__file__).parent / "parts" / "gguf_file.py"
VERSION = 1
TYPES = ("f32", "bf16", "q8_0")


@dataclass(frozen=True, slots=True)
class Model:
    """A checkpoint to measure. `folder` is what transformers and the engine load: bfloat16, as models come."""

    name: str
    folder: Path
    config: dict[str, Any]

    def gguf(self, kind: str) -> Path:
        """The same weights for llama.cpp: f32 and bf16 exactly, q8_0 in 8 bits with a scale for each 32."""
        return self.folder / f"{kind}.gguf"

    @property
    def matrix_weights(self) -> int:
        """The weights that each token reads: all matrices, the head included, without the table of embeddings."""
        hidden, heads, kv_heads = (
            self.config[key] for key in ("hidden_size", "num_attention_heads", "num_key_value_heads")
        )
        head_dim = self.config.get("head_dim") or hidden // heads
        attention = 2 * hidden * (heads + kv_heads) * head_dim
        layer = attention + 3 * hidden * self.config["intermediate_size"]
        return int(self.config["num_hidden_layers"] * layer + hidden * self.config["vocab_size"])

    @property
    def kv_numbers(self) -> int:
        """The keys and values of one token."""
        head_dim = self.config.get("head_dim") or self.config["hidden_size"] // self.config["num_attention_heads"]
        return int(2 * self.config["num_hidden_layers"] * self.config["num_key_value_heads"] * head_dim)


SMALL, MEDIUM = "smollm2-135m", "qwen3-0.6b"
SHAPES: dict[str, dict[str, Any]] = {
    SMALL: {
        "model_type": "llama",
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "head_dim": 64,
        "vocab_size": 49_152,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "rope_theta": 100_000.0,
    },
    MEDIUM: {
        "model_type": "qwen3",
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151_936,
        "max_position_embeddings": 40_960,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000.0,
    },
}


def ensure_model(name: str) -> Model:
    """The checkpoint of this name, written now if it is not there yet."""
    folder = cache_folder() / "bench-models" / f"{name}-v{VERSION}"
    if not folder.exists():
        scratch = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(scratch, ignore_errors=True)
        _write(scratch, SHAPES[name])
        scratch.rename(folder)
    return Model(name, folder, json.loads((folder / "config.json").read_text()))


def _write(folder: Path, shape: dict[str, Any]) -> None:
    peers = ensure_converter()
    folder.mkdir(parents=True)
    shape = dict(shape)
    rope = {"rope_type": "default", "rope_theta": shape.pop("rope_theta")}
    eos = write_tokenizer(folder, shape["vocab_size"])
    config = AutoConfig.for_model(
        **shape, rope_parameters=rope, tie_word_embeddings=True, bos_token_id=None, eos_token_id=eos
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    config.architectures, config.dtype = [type(model).__name__], torch.bfloat16
    config.save_pretrained(folder)
    weights = {name: _random(name, tensor) for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    for kind in TYPES:
        _run(peers, str(WRITER), str(folder), kind, str(folder / f"{kind}.gguf"))


def _random(name: str, like: torch.Tensor) -> torch.Tensor:
    if name.endswith("norm.weight"):
        return torch.ones(like.shape, dtype=torch.bfloat16)
    scale = 0.02 if "embed" in name else like.shape[-1] ** -0.5
    generator = torch.Generator().manual_seed(sum(name.encode()))
    return torch.randn(like.shape, generator=generator).mul_(scale).to(torch.bfloat16)


def _run(peers: Peers, *arguments: str) -> None:
    print("+", *arguments, flush=True)
    subprocess.run((str(peers.python), *arguments), env=peers.environment, check=True)


def check(model: Model) -> None:
    """Print how far llama.cpp's scores after some prompts are from transformers', both in float32."""
    from bench.engine.parts.llama import LlamaLoop

    theirs = AutoModelForCausalLM.from_pretrained(model.folder, dtype=torch.float32).eval()
    prompts = torch.randint(300, model.config["vocab_size"] - 8, (8, 24), generator=torch.Generator().manual_seed(1))
    with LlamaLoop(ensure_peers(), model.gguf("f32"), threads=2, context=256) as llama, torch.inference_mode():
        scores = theirs(prompts).logits[:, -1]
        best = [llama.best(prompt, 8) for prompt in prompts.tolist()]
    ids = torch.tensor([[token for token, _ in row] for row in best])
    values = torch.tensor([[value for _, value in row] for row in best])
    equal = (ids[:, 0] == scores.argmax(-1)).sum()
    error = (values - scores.gather(1, ids)).abs().max() / scores.std()
    print(f"{model.name}: best token equal on {equal} of {len(prompts)} prompts, largest error {error:.1e} deviations")
    if equal < len(prompts) - 1 or error > 0.05:
        raise SystemExit("llama.cpp computes another model")


if __name__ == "__main__":
    for each in SHAPES:
        made = ensure_model(each)
        print(f"{made.folder}: {made.matrix_weights / 1e6:.1f} M weights a token")
        if "check" in sys.argv[1:]:
            check(made)

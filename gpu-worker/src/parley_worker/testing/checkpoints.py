"""Small random checkpoints as transformers writes them: every architecture and rope that is served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM

TEMPLATE = (
    "{% for message in messages %}{{ '<|' ~ message.role ~ '|>' ~ message.content ~ '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
CORPUS = ["a lantern is a lamp that can be carried", "to wander means to walk without a goal", "naïve café 🦊 你好"]
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 40}
# What config.json gains on top of the rope_theta of 10,000; all reach 160 positions, four times the trained length.
ROPES: dict[str, dict[str, Any]] = {
    "default": {"rope_type": "default"},
    "linear": {"rope_type": "linear", "factor": 4.0},
    "llama3": LLAMA3,
    "yarn": YARN,
    "yarn, mscale": {**YARN, "mscale": 0.7, "mscale_all_dim": 0.3, "beta_fast": 8.0, "beta_slow": 2.0},
    "yarn, attention_factor": {**YARN, "attention_factor": 0.8, "truncate": False},
    "dynamic": {"rope_type": "dynamic", "factor": 4.0, "max_position_embeddings": 40},
}
# By the architecture, with what is special; all reach 160 positions.
SHAPES: dict[str, dict[str, Any]] = {
    "llama": {"attention_bias": True},
    "llama, tied": {"tie_word_embeddings": True, "num_key_value_heads": 4},
    "mistral": {"sliding_window": None, "head_dim": 16},
    "mistral, sliding": {"sliding_window": 16, "num_key_value_heads": 1},
    "qwen2": {"num_key_value_heads": 4, "tie_word_embeddings": True},
    "qwen2, late layers slide": {"use_sliding_window": True, "sliding_window": 12, "max_window_layers": 1},
    "qwen2, named layers slide": {
        "use_sliding_window": True,
        "sliding_window": 24,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "qwen3": {"head_dim": 20, "num_key_value_heads": 1, "tie_word_embeddings": True},
    "qwen3, sliding, biases": {
        "head_dim": 8,
        "attention_bias": True,
        "use_sliding_window": True,
        "sliding_window": 9,
        "max_window_layers": 0,
    },
    "smollm3": {"num_hidden_layers": 4},
    "smollm3, sliding": {
        "num_hidden_layers": 3,
        "no_rope_layers": [1, 0, 1],
        "use_sliding_window": True,
        "sliding_window": 10,
        "tie_word_embeddings": False,
        "mlp_bias": True,
    },
}


def roped(rope: str) -> dict[str, Any]:
    """What `write_checkpoint` is to be told for a model with one of ROPES, whose window is 160 tokens."""
    parameters = {"rope_theta": 10_000.0, **ROPES[rope]}
    positions = parameters.pop("max_position_embeddings", 160)
    return {"rope_parameters": parameters, "max_position_embeddings": positions}


def all_cases() -> dict[str, dict[str, Any]]:
    """What `write_checkpoint` is to be told for each shape and each rope."""
    shapes = {name: {"architecture": name.split(",")[0], **shape} for name, shape in SHAPES.items()}
    return shapes | {f"rope: {name}": {"architecture": "qwen3", "head_dim": 12, **roped(name)} for name in ROPES}


def make_tokenizer() -> Tokenizer:
    """Byte-level, of 300 tokens at most, the last four of which are special."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    names = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    return tokenizer


def write_checkpoint(
    folder: Path,
    seed: int = 0,
    *,
    architecture: str = "llama",
    file_dtype: torch.dtype = torch.float32,
    shard_size: str = "5GB",
    **config: Any,
) -> Path:
    """A random model with a byte-level tokenizer and a chat template."""
    tokenizer = make_tokenizer()
    sizes: dict[str, Any] = {
        "hidden_size": 48,
        "intermediate_size": 80,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 160,
        "vocab_size": tokenizer.get_vocab_size(),
        "eos_token_id": tokenizer.token_to_id("<|end|>"),
        "bos_token_id": None,
        "pad_token_id": None,
        "initializer_range": 0.3,
    }
    torch.manual_seed(seed)
    described = AutoConfig.for_model(architecture, **{**sizes, **config})
    model: Any = AutoModelForCausalLM.from_config(described)  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.3)
        elif name.endswith("norm.weight"):
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    model.to(file_dtype).save_pretrained(folder, max_shard_size=shard_size)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE, "eos_token": "<|end|>"}))
    return folder

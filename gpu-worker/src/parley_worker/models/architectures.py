"""The families of decoders that one decoder serves: what sets each apart, as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from parley_worker.models.files import JsonFile


class Sliding(Enum):
    """Which layers attend through the sliding window that config.json may give."""

    NEVER = "never"
    ALWAYS = "always"
    LATE_LAYERS = "from max_window_layers on, with use_sliding_window"
    UNROTATED_LAYERS = "those without rotary embedding, with use_sliding_window"


@dataclass(frozen=True, slots=True)
class Architecture:
    """One family. The biases: True and False are the family's own, None is for config.json to say.

    The rest is what transformers takes a key for that config.json leaves out; None: what follows from other keys.
    """

    name: str
    model_type: str
    qkv_bias: bool | None = None
    output_bias: bool | None = None
    mlp_bias: bool | None = False
    qk_norm: bool = False
    skips_rotation: bool = False
    sliding: Sliding = Sliding.NEVER
    sliding_window: int | None = None
    window: int = 32_768
    kv_heads: int | None = None
    head_dim: int | None = None
    tied: bool = False
    theta: float = 10_000.0


ARCHITECTURES = {
    family.name: family
    for family in (
        Architecture("LlamaForCausalLM", "llama", mlp_bias=None, window=2048),
        Architecture(
            "MistralForCausalLM",
            "mistral",
            qkv_bias=False,
            output_bias=False,
            sliding=Sliding.ALWAYS,
            sliding_window=4096,
            window=131_072,
            kv_heads=8,
        ),
        Architecture(
            "Qwen2ForCausalLM",
            "qwen2",
            qkv_bias=True,
            output_bias=False,
            sliding=Sliding.LATE_LAYERS,
            sliding_window=4096,
            kv_heads=32,
        ),
        Architecture(
            "Qwen3ForCausalLM",
            "qwen3",
            qk_norm=True,
            sliding=Sliding.LATE_LAYERS,
            sliding_window=4096,
            kv_heads=32,
            head_dim=128,
        ),
        Architecture(
            "SmolLM3ForCausalLM",
            "smollm3",
            mlp_bias=None,
            skips_rotation=True,
            sliding=Sliding.UNROTATED_LAYERS,
            kv_heads=4,
            tied=True,
            theta=2_000_000.0,
        ),
    )
}


def read_architecture(config: JsonFile) -> Architecture:
    """The family that `architectures` names, or without it `model_type`. Raises CheckpointError for any other."""
    names, model_type = config.get("architectures"), config.get("model_type")
    if not names:
        names = [family.name for family in ARCHITECTURES.values() if family.model_type == model_type] or [model_type]
    name = names[0] if isinstance(names, list) else names
    family = ARCHITECTURES.get(name) if isinstance(name, str) else None
    if family is None:
        raise config.error("architectures", f"{name!r} is not supported; supported: {', '.join(ARCHITECTURES)}")
    if model_type not in (None, family.model_type):
        raise config.error("model_type", f"{model_type!r} does not go with {family.name}")
    return family

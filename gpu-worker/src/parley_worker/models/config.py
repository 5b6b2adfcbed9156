"""config.json: the shape of a model. Whatever changes its mathematics is honoured or refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parley_worker.models.architectures import Architecture, read_architecture
from parley_worker.models.files import JsonFile, read_json
from parley_worker.models.pattern import read_rotations, read_windows
from parley_worker.models.rope import RopeConfig, read_rope

# Keys of related architectures that change what a layer computes, with the values at which they do nothing.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu", "swish"),
    "quantization_config": (),
    "compression_config": (),
    "use_qk_norm": (False,),
    "qk_norm": (False,),
    "qk_layernorm": (False,),
    "use_bias": (False,),
    "use_qkv_bias": (False,),
    "num_experts": (0, 1),
    "num_local_experts": (0, 1),
    "n_routed_experts": (0, 1),
    "attention_chunk_size": (),
    "attn_temperature_tuning": (False, 0),
    "attn_logit_softcapping": (),
    "final_logit_softcapping": (),
    "embedding_multiplier": (1,),
    "residual_multiplier": (1,),
    "attention_multiplier": (),
    "scale_emb": (1,),
    "scale_depth": (),
    "logits_scaling": (1,),
    "logit_scale": (1,),
    "query_pre_attn_scalar": (),
    "rope_interleaved": (False,),
    "clip_qkv": (),
    "parallel_attn": (False,),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
}


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The numbers of a decoder. `window` is the longest sequence, prompt and answer together, in tokens.

    attention_windows and rotations have an entry for each layer: how many tokens back its attention reaches, the
    token itself included (None: all), and whether it rotates queries and keys by their positions.
    """

    architecture: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    norm_eps: float
    rope: RopeConfig
    window: int
    tied_embeddings: bool
    qkv_bias: bool
    output_bias: bool
    mlp_bias: bool
    qk_norm: bool
    attention_windows: tuple[int | None, ...]
    rotations: tuple[bool, ...]
    dtype: str
    eos_ids: frozenset[int]

    @property
    def parameters(self) -> int:
        """The size of the weight matrices that a token passes through, embeddings counted once."""
        attention = 2 * (self.heads + self.kv_heads) * self.head_dim * self.hidden_size
        mlp = 3 * self.hidden_size * self.intermediate_size
        return self.layers * (attention + mlp) + self.vocab_size * self.hidden_size

    @property
    def needs_lengths(self) -> bool:
        """Whether keys depend on how long their prompt is: the rotations of dynamic rope grow with it."""
        return self.rope.kind == "dynamic"

    def kv_bytes_per_token(self, item_bytes: int) -> int:
        """Bytes that the keys and values of one token take over all layers."""
        return 2 * self.layers * self.kv_heads * self.head_dim * item_bytes


def read_model_config(folder: Path) -> ModelConfig:
    """Read folder/config.json. Raises CheckpointError, naming the key, for what cannot be served as it is meant."""
    raw = read_json(folder / "config.json")
    family = read_architecture(raw)
    for key, neutral in _NEUTRAL.items():
        if raw.get(key) is not None and raw.get(key) not in neutral:
            raise raw.error(key, f"{raw.get(key)!r} is not supported")
    hidden, heads, layers = map(raw.integer, ("hidden_size", "num_attention_heads", "num_hidden_layers"))
    head_dim = _head_dim(raw, family, hidden, heads)
    positions = raw.integer("max_position_embeddings", family.window)
    rope = read_rope(raw, family.theta, positions, head_dim)
    rotations = read_rotations(raw, family, layers)
    return ModelConfig(
        architecture=family.name,
        vocab_size=raw.integer("vocab_size"),
        hidden_size=hidden,
        intermediate_size=raw.integer("intermediate_size"),
        layers=layers,
        heads=heads,
        kv_heads=_kv_heads(raw, family, heads),
        head_dim=head_dim,
        norm_eps=raw.number("rms_norm_eps", 1e-6),
        rope=rope,
        window=rope.reach(positions),
        tied_embeddings=raw.flag("tie_word_embeddings", family.tied),
        qkv_bias=_bias(raw, "attention_bias", family.qkv_bias),
        output_bias=_bias(raw, "attention_bias", family.output_bias),
        mlp_bias=_bias(raw, "mlp_bias", family.mlp_bias),
        qk_norm=family.qk_norm,
        attention_windows=read_windows(raw, family, rotations),
        rotations=rotations,
        dtype=str(raw.get("dtype") or raw.get("torch_dtype") or "float32"),
        eos_ids=raw.token_ids("eos_token_id"),
    )


def _kv_heads(raw: JsonFile, family: Architecture, heads: int) -> int:
    kv_heads = raw.optional_integer("num_key_value_heads", family.kv_heads) or heads
    if heads % kv_heads:
        raise raw.error("num_key_value_heads", f"must divide num_attention_heads ({heads}), is {kv_heads}")
    return kv_heads


def _head_dim(raw: JsonFile, family: Architecture, hidden: int, heads: int) -> int:
    size = raw.optional_integer("head_dim", family.head_dim)
    if size is None and hidden % heads:
        raise raw.error("num_attention_heads", f"must divide hidden_size ({hidden}), is {heads}")
    size = size or hidden // heads
    if size % 2:
        raise raw.error("head_dim", f"must be even, is {size}")
    return size


def _bias(raw: JsonFile, key: str, own: bool | None) -> bool:
    """The family's own word, which config.json may repeat but not change; else what config.json says."""
    if own is None:
        return raw.flag(key)
    if raw.flag(key) and not own:
        raise raw.error(key, "true is not supported by this architecture")
    return own

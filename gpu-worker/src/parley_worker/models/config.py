"""config.json: the shape of a model. Whatever changes its mathematics is honoured or refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parley_worker.models.files import JsonFile, read_json
from parley_worker.models.rope import RopeConfig, read_rope

SUPPORTED_ARCHITECTURES = ("LlamaForCausalLM",)

# Keys of related architectures that change what a layer computes, with the values at which they do nothing.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu", "swish"),
    "quantization_config": (),
    "sliding_window": (),
    "use_sliding_window": (False,),
    "layer_types": (),
    "no_rope_layers": (),
    "use_qk_norm": (False,),
    "qk_norm": (False,),
    "num_local_experts": (0, 1),
    "attn_logit_softcapping": (),
    "final_logit_softcapping": (),
    "embedding_multiplier": (1,),
    "residual_multiplier": (1,),
    "attention_multiplier": (),
    "logits_scaling": (1,),
    "logit_scale": (1,),
    "query_pre_attn_scalar": (),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
}


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The numbers of a decoder. `window` is the longest sequence, prompt and answer together, in tokens."""

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
    attention_bias: bool
    mlp_bias: bool
    dtype: str
    eos_ids: frozenset[int]

    @property
    def parameters(self) -> int:
        """The size of the weight matrices that a token passes through, embeddings counted once."""
        attention = 2 * (self.heads + self.kv_heads) * self.head_dim * self.hidden_size
        mlp = 3 * self.hidden_size * self.intermediate_size
        return self.layers * (attention + mlp) + self.vocab_size * self.hidden_size

    def kv_bytes_per_token(self, item_bytes: int) -> int:
        """Bytes that the keys and values of one token take over all layers."""
        return 2 * self.layers * self.kv_heads * self.head_dim * item_bytes


def read_model_config(folder: Path) -> ModelConfig:
    """Read folder/config.json. Raises CheckpointError, naming the key, for what cannot be served as it is meant."""
    raw = read_json(folder / "config.json")
    architecture = _architecture(raw)
    for key, neutral in _NEUTRAL.items():
        if raw.get(key) is not None and raw.get(key) not in neutral:
            raise raw.error(key, f"{raw.get(key)!r} is not supported")
    hidden, heads = raw.integer("hidden_size"), raw.integer("num_attention_heads")
    kv_heads = raw.integer("num_key_value_heads", heads)
    if heads % kv_heads:
        raise raw.error("num_key_value_heads", f"must divide num_attention_heads ({heads}), is {kv_heads}")
    return ModelConfig(
        architecture=architecture,
        vocab_size=raw.integer("vocab_size"),
        hidden_size=hidden,
        intermediate_size=raw.integer("intermediate_size"),
        layers=raw.integer("num_hidden_layers"),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=_head_dim(raw, hidden, heads),
        norm_eps=raw.number("rms_norm_eps", 1e-6),
        rope=read_rope(raw),
        window=raw.integer("max_position_embeddings", 2048),
        tied_embeddings=raw.flag("tie_word_embeddings"),
        attention_bias=raw.flag("attention_bias"),
        mlp_bias=raw.flag("mlp_bias"),
        dtype=str(raw.get("dtype") or raw.get("torch_dtype") or "float32"),
        eos_ids=raw.token_ids("eos_token_id"),
    )


def _architecture(raw: JsonFile) -> str:
    names = raw.get("architectures") or (["LlamaForCausalLM"] if raw.get("model_type") == "llama" else [])
    name = names[0] if isinstance(names, list) and names else names
    if name not in SUPPORTED_ARCHITECTURES:
        raise raw.error("architectures", f"{name!r} is not supported; supported: {', '.join(SUPPORTED_ARCHITECTURES)}")
    return str(name)


def _head_dim(raw: JsonFile, hidden: int, heads: int) -> int:
    if raw.get("head_dim") is None and hidden % heads:
        raise raw.error("num_attention_heads", f"must divide hidden_size ({hidden}), is {heads}")
    size = raw.integer("head_dim", hidden // heads)
    if size % 2:
        raise raw.error("head_dim", f"must be even, is {size}")
    return size

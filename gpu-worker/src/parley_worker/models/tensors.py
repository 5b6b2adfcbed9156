"""Which tensors a checkpoint must hold, and what may lie beside them."""

from __future__ import annotations

from parley_worker.models.config import ModelConfig

Shape = tuple[int, ...]

EMBEDDING, HEAD, NORM = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"


def layer_name(index: int, part: str) -> str:
    return f"model.layers.{index}.{part}"


def expected_shapes(config: ModelConfig) -> dict[str, Shape]:
    """Name and shape of every tensor but the embedding and the head, in the order of the layers."""
    layer = _attention(config) | _mlp(config)
    shapes = {layer_name(index, part): shape for index in range(config.layers) for part, shape in layer.items()}
    return shapes | {NORM: (config.hidden_size,)}


def is_derived(name: str) -> bool:
    """Whether a tensor only repeats what config.json says: old checkpoints hold the rotary frequencies."""
    return name.endswith(".rotary_emb.inv_freq")


def _attention(config: ModelConfig) -> dict[str, Shape]:
    query, key = config.heads * config.head_dim, config.kv_heads * config.head_dim
    norms = {"self_attn.q_norm.weight": (config.head_dim,), "self_attn.k_norm.weight": (config.head_dim,)}
    return {
        "input_layernorm.weight": (config.hidden_size,),
        **_linear("self_attn.q_proj", query, config.hidden_size, bias=config.qkv_bias),
        **_linear("self_attn.k_proj", key, config.hidden_size, bias=config.qkv_bias),
        **_linear("self_attn.v_proj", key, config.hidden_size, bias=config.qkv_bias),
        **(norms if config.qk_norm else {}),
        **_linear("self_attn.o_proj", config.hidden_size, query, bias=config.output_bias),
    }


def _mlp(config: ModelConfig) -> dict[str, Shape]:
    return {
        "post_attention_layernorm.weight": (config.hidden_size,),
        **_linear("mlp.gate_proj", config.intermediate_size, config.hidden_size, bias=config.mlp_bias),
        **_linear("mlp.up_proj", config.intermediate_size, config.hidden_size, bias=config.mlp_bias),
        **_linear("mlp.down_proj", config.hidden_size, config.intermediate_size, bias=config.mlp_bias),
    }


def _linear(name: str, outputs: int, inputs: int, *, bias: bool) -> dict[str, Shape]:
    return {f"{name}.weight": (outputs, inputs)} | ({f"{name}.bias": (outputs,)} if bias else {})

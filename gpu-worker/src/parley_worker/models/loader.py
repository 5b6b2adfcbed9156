"""A checkpoint folder becomes a decoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from parley_worker.models.config import ModelConfig, read_model_config
from parley_worker.models.decoder import Decoder, DecoderWeights, Layer, Linear, Projection
from parley_worker.models.quantized import QuantizedLinear
from parley_worker.models.tensors import EMBEDDING, HEAD, NORM, expected_shapes, is_derived, layer_name
from parley_worker.models.weights import Weights


def load_model(folder: Path, dtype: torch.dtype, device: torch.device, *, int8: bool = False) -> Decoder:
    """Load the model in `folder`. Raises CheckpointError, naming the file and the key, if it cannot be served.

    dtype: of weights and activations; int8 multiplies in int8 instead, and leaves the embedding as the file has it.
    Names, shapes and types are checked before the first weight is read.
    """
    config = read_model_config(folder)
    weights = Weights(folder, dtype, device)
    return _Assembly(config, weights, int8).decoder()


def check_tensors(config: ModelConfig, weights: Weights) -> list[str]:
    """Check all names and shapes; the tensors that are the embedding and the head, one alone if they are tied."""
    ends = [name for name in (EMBEDDING, HEAD) if name in weights] if config.tied_embeddings else [EMBEDDING, HEAD]
    shapes = expected_shapes(config) | dict.fromkeys(ends or [EMBEDDING], (config.vocab_size, config.hidden_size))
    weights.check(shapes)
    for name in weights:
        if name not in shapes and not is_derived(name):
            raise weights.error(name, f"has no place in a {config.architecture} as config.json describes it")
    # As in transformers, two that differ are not tied, whatever config.json says.
    if config.tied_embeddings and len(ends) == 2 and weights.same(EMBEDDING, HEAD):
        ends = [EMBEDDING]
    return ends


class _Assembly:
    """Reads a decoder together."""

    def __init__(self, config: ModelConfig, weights: Weights, int8: bool) -> None:
        self._config, self._weights, self._int8 = config, weights, int8

    def decoder(self) -> Decoder:
        weights, ends = self._weights, check_tensors(self._config, self._weights)
        layers = tuple(self._layer(index) for index in range(self._config.layers))
        head = self._linear(ends[-1:], None)
        if isinstance(head, Linear):
            embedding = head.weight.t() if len(ends) == 1 else weights.read(EMBEDDING)
        else:
            embedding = weights.read(ends[0], weights.dtype(ends[0]))
        return Decoder(self._config, DecoderWeights(embedding, layers, weights.read(NORM), head))

    def _layer(self, index: int) -> Layer:
        config = self._config

        def read(part: str) -> Tensor:
            return self._weights.read(layer_name(index, part))

        def linear(*parts: str, bias: bool) -> Projection:
            biases = torch.cat([read(f"{part}.bias") for part in parts]) if bias else None
            return self._linear([layer_name(index, f"{part}.weight") for part in parts], biases)

        return Layer(
            attention_norm=read("input_layernorm.weight"),
            qkv=linear("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", bias=config.qkv_bias),
            qk_norm=_qk_norm(config, read) if config.qk_norm else None,
            output=linear("self_attn.o_proj", bias=config.output_bias),
            mlp_norm=read("post_attention_layernorm.weight"),
            gate_up=linear("mlp.gate_proj", "mlp.up_proj", bias=config.mlp_bias),
            down=linear("mlp.down_proj", bias=config.mlp_bias),
        )

    def _linear(self, names: list[str], bias: Tensor | None) -> Projection:
        if self._int8:
            return QuantizedLinear(*self._weights.quantized(names), bias)
        return Linear(self._weights.transposed(names), bias)


def _qk_norm(config: ModelConfig, read: Callable[[str], Tensor]) -> Tensor:
    query, key = read("self_attn.q_norm.weight"), read("self_attn.k_norm.weight")
    return torch.cat((query.expand(config.heads, -1), key.expand(config.kv_heads, -1)))

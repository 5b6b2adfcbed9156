"""The Llama architecture on a flat batch: one row for each token, whatever sequence it belongs to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

from parley_worker.models.config import ModelConfig
from parley_worker.models.rope import RopeConfig
from parley_worker.models.weights import Weights


class Attention(Protocol):
    """Attends the rows of a batch to their own sequences, and keeps their keys and values for later steps."""

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """query [rows, heads, head_dim], key and value [rows, kv_heads, head_dim] -> [rows, heads * head_dim]."""
        ...


@dataclass(frozen=True, slots=True)
class Linear:
    """A weight [outputs, inputs], kept transposed so that rows multiply it as it lies in memory."""

    weight: Tensor
    bias: Tensor | None

    @classmethod
    def stacked(cls, weights: list[Tensor], biases: list[Tensor]) -> Linear:
        """Several maps of the same input as one."""
        return cls(torch.cat(weights).t().contiguous(), torch.cat(biases) if biases else None)

    def __call__(self, rows: Tensor) -> Tensor:
        return rows @ self.weight if self.bias is None else torch.addmm(self.bias, rows, self.weight)

    def add_to(self, residual: Tensor, rows: Tensor) -> Tensor:
        """residual + self(rows), in one pass."""
        result = torch.addmm(residual, rows, self.weight)
        return result if self.bias is None else result.add_(self.bias)


@dataclass(frozen=True, slots=True)
class Layer:
    attention_norm: Tensor
    qkv: Linear
    output: Linear
    mlp_norm: Tensor
    gate_up: Linear
    down: Linear


class Llama:
    """Weights and the forward pass. Holds no state of any sequence: that is the Attention's."""

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        self.config = config
        embedding = weights.take("model.embed_tokens.weight", config.vocab_size, config.hidden_size)
        head = embedding
        if not config.tied_embeddings:
            head = weights.take("lm_head.weight", config.vocab_size, config.hidden_size)
        self._head = Linear.stacked([head], [])
        # Tied: the head's weight seen the other way round, so that memory holds it once.
        self._embedding = self._head.weight.t() if config.tied_embeddings else embedding
        self._layers = [_layer(config, weights, index) for index in range(config.layers)]
        self._norm = weights.take("model.norm.weight", config.hidden_size)
        self._frequencies = _frequencies(config.rope, config.head_dim).to(self.device)

    @property
    def dtype(self) -> torch.dtype:
        return self._embedding.dtype

    @property
    def device(self) -> torch.device:
        return self._embedding.device

    def forward(self, tokens: Tensor, positions: Tensor, attention: Attention) -> Tensor:
        """tokens and positions [rows] -> hidden states [rows, hidden_size]."""
        rows = self._embedding.index_select(0, tokens)
        cos, sin = self._rotations(positions)
        for index, layer in enumerate(self._layers):
            attended = self._attend(index, layer, rows, cos, sin, attention)
            rows = layer.output.add_to(rows, attended)
            gate, up = layer.gate_up(self._normalize(rows, layer.mlp_norm)).chunk(2, dim=-1)
            rows = layer.down.add_to(rows, F.silu(gate).mul_(up))
        return rows

    def logits(self, rows: Tensor) -> Tensor:
        """Hidden states [rows, hidden_size] -> float32 scores [rows, vocab_size]."""
        return self._head(self._normalize(rows, self._norm)).float()

    def _attend(self, index: int, layer: Layer, rows: Tensor, cos: Tensor, sin: Tensor, attention: Attention) -> Tensor:
        config = self.config
        qkv = layer.qkv(self._normalize(rows, layer.attention_norm)).view(len(rows), -1, config.head_dim)
        rotary, value = qkv[:, : -config.kv_heads], qkv[:, -config.kv_heads :]
        # A roll by half a head swaps the halves; the minus of the rotation is in the sines.
        rotary = torch.addcmul(rotary * cos, rotary.roll(config.head_dim // 2, -1), sin)
        return attention(index, rotary[:, : config.heads], rotary[:, config.heads :], value)

    def _rotations(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and signed sines [rows, 1, head_dim], computed in float32."""
        angles = torch.outer(positions.float(), self._frequencies)
        cos, sin = angles.cos(), angles.sin()
        cos, sin = torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)
        return cos.unsqueeze(1).to(self.dtype), sin.unsqueeze(1).to(self.dtype)

    def _normalize(self, rows: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(rows, weight.shape, weight, self.config.norm_eps)


def _layer(config: ModelConfig, weights: Weights, index: int) -> Layer:
    prefix, hidden = f"model.layers.{index}", config.hidden_size
    query, key, mlp = config.heads * config.head_dim, config.kv_heads * config.head_dim, config.intermediate_size

    def linear(block: str, outputs: dict[str, int], inputs: int, *, bias: bool) -> Linear:
        names = [(f"{prefix}.{block}.{name}", size) for name, size in outputs.items()]
        biases = [weights.take(f"{name}.bias", size) for name, size in names] if bias else []
        return Linear.stacked([weights.take(f"{name}.weight", size, inputs) for name, size in names], biases)

    qkv = {"q_proj": query, "k_proj": key, "v_proj": key}
    return Layer(
        attention_norm=weights.take(f"{prefix}.input_layernorm.weight", hidden),
        qkv=linear("self_attn", qkv, hidden, bias=config.attention_bias),
        output=linear("self_attn", {"o_proj": hidden}, query, bias=config.attention_bias),
        mlp_norm=weights.take(f"{prefix}.post_attention_layernorm.weight", hidden),
        gate_up=linear("mlp", {"gate_proj": mlp, "up_proj": mlp}, hidden, bias=config.mlp_bias),
        down=linear("mlp", {"down_proj": hidden}, mlp, bias=config.mlp_bias),
    )


def _frequencies(rope: RopeConfig, head_dim: int) -> Tensor:
    frequencies = 1.0 / rope.theta ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    if rope.kind == "default":
        return frequencies
    stretched = frequencies / rope.factor
    if rope.kind == "linear":
        return stretched
    # llama3: low frequencies are stretched, high ones kept, those between blended by their wavelength.
    turns = rope.original_length * frequencies / (2 * math.pi)
    blend = ((turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor)).clamp(0, 1)
    return blend * frequencies + (1 - blend) * stretched

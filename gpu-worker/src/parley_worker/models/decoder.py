"""The decoder of all supported architectures on a flat batch: one row for each token, whatever sequence it is of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

from parley_worker.models.config import ModelConfig
from parley_worker.models.rotary import Rotary


class Attention(Protocol):
    """Attends the rows of a batch to their own sequences, and keeps their keys and values for later steps."""

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """query [rows, heads, head_dim], key and value [rows, kv_heads, head_dim] -> [rows, heads * head_dim].

        A row attends to itself and what came before, as far back as ModelConfig.attention_windows says for the layer.
        """
        ...


class Projection(Protocol):
    """A matrix with an optional bias, that rows are multiplied with."""

    def __call__(self, rows: Tensor) -> Tensor:
        """rows [n, inputs] -> [n, outputs]."""
        ...

    def add_to(self, residual: Tensor, rows: Tensor) -> Tensor:
        """residual + self(rows), in one pass."""
        ...


@dataclass(frozen=True, slots=True)
class Linear:
    """A weight [inputs, outputs], transposed from the checkpoint's, so that rows multiply it as it lies in memory."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, rows: Tensor) -> Tensor:
        return rows @ self.weight if self.bias is None else torch.addmm(self.bias, rows, self.weight)

    def add_to(self, residual: Tensor, rows: Tensor) -> Tensor:
        result = torch.addmm(residual, rows, self.weight)
        return result if self.bias is None else result.add_(self.bias)


@dataclass(frozen=True, slots=True)
class Layer:
    """The weights of one layer. qk_norm [heads + kv_heads, head_dim] scales normalized queries and keys."""

    attention_norm: Tensor
    qkv: Projection
    qk_norm: Tensor | None
    output: Projection
    mlp_norm: Tensor
    gate_up: Projection
    down: Projection


@dataclass(frozen=True, slots=True)
class DecoderWeights:
    """embedding [vocab_size, hidden_size], in the type of the rest or narrower.

    Of a tied model it is the head's weight seen the other way round, unless that is quantized.
    """

    embedding: Tensor
    layers: tuple[Layer, ...]
    norm: Tensor
    head: Projection


class Decoder:
    """Weights and the forward pass. Holds no state of any sequence: that is the Attention's."""

    def __init__(self, config: ModelConfig, weights: DecoderWeights) -> None:
        self.config, self.weights = config, weights
        self._rotary = Rotary(config.rope, config.head_dim, self.device)

    @property
    def dtype(self) -> torch.dtype:
        """Of activations, keys and values."""
        return self.weights.norm.dtype

    @property
    def device(self) -> torch.device:
        return self.weights.embedding.device

    def forward(self, tokens: Tensor, positions: Tensor, attention: Attention, lengths: Tensor | None = None) -> Tensor:
        """tokens and positions [rows] -> hidden states [rows, hidden_size].

        lengths [rows], for a model whose config `needs_lengths`: how long the sequence was when transformers would have
        computed the row, which is the whole prompt for all of its rows, and the position + 1 for those of the answer.
        """
        rows = self.weights.embedding.index_select(0, tokens).to(self.dtype)
        cos, sin = self._rotary(positions, lengths, self.dtype)
        for index, layer in enumerate(self.weights.layers):
            attended = self._attend(index, layer, rows, cos, sin, attention)
            rows = layer.output.add_to(rows, attended)
            gate, up = layer.gate_up(self._normalize(rows, layer.mlp_norm)).chunk(2, dim=-1)
            rows = layer.down.add_to(rows, F.silu(gate).mul_(up))
        return rows

    def logits(self, rows: Tensor) -> Tensor:
        """Hidden states [rows, hidden_size] -> float32 scores [rows, vocab_size]."""
        return self.weights.head(self._normalize(rows, self.weights.norm)).float()

    def _attend(self, index: int, layer: Layer, rows: Tensor, cos: Tensor, sin: Tensor, attention: Attention) -> Tensor:
        config = self.config
        qkv = layer.qkv(self._normalize(rows, layer.attention_norm)).view(len(rows), -1, config.head_dim)
        heads, value = qkv[:, : -config.kv_heads], qkv[:, -config.kv_heads :]
        if layer.qk_norm is not None:
            heads = F.rms_norm(heads, heads.shape[-1:], None, config.norm_eps) * layer.qk_norm
        if config.rotations[index]:
            heads = torch.addcmul(heads * cos, heads.roll(config.head_dim // 2, -1), sin)
        return attention(index, heads[:, : config.heads], heads[:, config.heads :], value)

    def _normalize(self, rows: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(rows, weight.shape, weight, self.config.norm_eps)

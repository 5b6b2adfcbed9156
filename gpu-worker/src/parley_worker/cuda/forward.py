"""The forward pass of a decoder in few launches: nine kernels a layer, four of them products."""

from __future__ import annotations

import torch
from torch import Tensor

from parley_worker.cuda import ops
from parley_worker.cuda.attention import PagedAttention
from parley_worker.cuda.buffers import Inputs
from parley_worker.engine.paged.cache import BlockCache
from parley_worker.models.decoder import Decoder
from parley_worker.models.rotary import Rotary


class Forward:
    """What `Decoder.forward` and `Decoder.logits` compute, fused."""

    def __init__(self, model: Decoder, cache: BlockCache, attention: PagedAttention) -> None:
        self._config, self._weights, self._dtype = model.config, model.weights, model.dtype
        self._cache, self._attention = cache, attention
        self._rotary = Rotary(model.config.rope, model.config.head_dim, model.device)

    def scores(self, inputs: Inputs, singles: int, drawn: Tensor, draws: Tensor | None) -> Tensor:
        """Scores [draws, vocab_size] in the model's type, of all rows where draws is None.

        The first `singles` segments are of one row. drawn: the tokens that stand for ids below 0.
        """
        rows, added = self._layers(inputs, singles, drawn)
        if draws is not None:
            rows = rows.index_select(0, draws)
            added = None if added is None else added.index_select(0, draws)
        return self._weights.head(ops.normalize(rows, added, self._weights.norm, self._config.norm_eps))

    def _layers(self, inputs: Inputs, singles: int, drawn: Tensor) -> tuple[Tensor, Tensor | None]:
        """The residual stream, and what the last layer adds to it."""
        config, eps = self._config, self._config.norm_eps
        rows = ops.embed(inputs.tokens, drawn, self._weights.embedding, self._dtype)
        turns = self._turns(inputs)
        self._attention.plan(inputs, singles)
        added = None
        for index, layer in enumerate(self._weights.layers):
            qkv = layer.qkv(ops.normalize(rows, added, layer.attention_norm, eps))
            keys, values = self._cache.keys[index], self._cache.values[index]
            turned = turns if config.rotations[index] else None
            query = ops.place(qkv, layer.qk_norm, turned, inputs.slots, keys, values, config.heads, eps)
            attended = layer.output(self._attention.attend(index, query, inputs, singles))
            gate_up = layer.gate_up(ops.normalize(rows, attended, layer.mlp_norm, eps))
            added = layer.down(ops.gate(gate_up))
        return rows, added

    def _turns(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        cos, sin = self._rotary(inputs.positions, inputs.lengths, torch.float32)
        return cos.squeeze(1), sin.squeeze(1)

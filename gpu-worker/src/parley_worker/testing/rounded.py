"""Attention with keys, values, queries and weights in bfloat16, as the native executor's int8 arithmetic has it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from parley_worker.models.config import ModelConfig
from parley_worker.scheduler.batch import Batch

_CHUNK = 128  # positions whose weights are relative to the greatest score among them


class RoundedAttention:
    """The `Attention` of one sequence that is computed at once, without a cache."""

    def __init__(self, config: ModelConfig) -> None:
        self._windows = config.attention_windows

    def prepare(self, batch: Batch) -> None:
        """Nothing is kept from one batch to the next."""

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """query [rows, heads, head_dim], key and value [rows, kv_heads, head_dim] -> [rows, heads * head_dim]"""
        rows, heads, head_dim = query.shape
        group = heads // key.shape[1]
        queries = _round(query / (math.log(2) * head_dim**0.5)).transpose(0, 1)
        keys, values = (_round(each).repeat_interleave(group, dim=1).transpose(0, 1) for each in (key, value))
        back = torch.arange(rows).unsqueeze(1) - torch.arange(rows)
        seen = (back >= 0) & (back < (self._windows[layer] or rows))
        scores = (queries @ keys.transpose(1, 2)).masked_fill(~seen, -torch.inf)
        greatest = scores.amax(dim=-1, keepdim=True)
        sums, totals = torch.zeros_like(queries), torch.zeros_like(greatest)
        for first in range(0, rows, _CHUNK):
            part, held = scores[..., first : first + _CHUNK], values[:, first : first + _CHUNK]
            own = part.amax(dim=-1, keepdim=True).clamp(min=-1e30)
            weights, share = torch.exp2(part - own), torch.exp2(own - greatest)
            sums += share * (_round(weights) @ held)
            totals += share * weights.sum(dim=-1, keepdim=True)
        return (sums / totals).transpose(0, 1).flatten(1)


def _round(numbers: Tensor) -> Tensor:
    return numbers.bfloat16().float()

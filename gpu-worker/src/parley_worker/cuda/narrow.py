"""Weights in 8 bits, activations as they are: a decode step reads half of the bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from parley_worker.cuda import ops
from parley_worker.models.decoder import Decoder, Linear, Projection

_FEW = 64  # rows up to which reading the weight takes longer than multiplying it


@dataclass(frozen=True, slots=True)
class NarrowLinear:
    """weight [outputs, inputs], int8 or float8_e4m3fn, times scales [outputs], float32, is the weight it stands for."""

    weight: Tensor
    scales: Tensor
    bias: Tensor | None

    @classmethod
    def of(cls, linear: Projection, kind: torch.dtype) -> NarrowLinear:
        """Symmetric, one scale for each output channel, so that its greatest weight takes the whole range."""
        if not isinstance(linear, Linear):
            raise TypeError(f"only plain weights can be narrowed, not a {type(linear).__name__}")
        wide = linear.weight.t()
        peaks = wide.abs().amax(dim=1, keepdim=True).float()
        limit = 127.0 if kind is torch.int8 else torch.finfo(kind).max
        scales = torch.where(peaks == 0, 1.0, peaks / limit)
        ratios = wide.float() / scales
        weight = (ratios.round_() if kind is torch.int8 else ratios).clamp_(-limit, limit).to(kind).contiguous()
        return cls(weight, scales.squeeze(1), linear.bias)

    def __call__(self, rows: Tensor) -> Tensor:
        if len(rows) <= _FEW:
            return ops.multiply(rows, self.weight, self.scales, self.bias)
        product = rows @ self.weight.to(rows.dtype).t()
        scaled = (product * self.scales).to(rows.dtype)
        return scaled if self.bias is None else scaled + self.bias

    def add_to(self, residual: Tensor, rows: Tensor) -> Tensor:
        """residual + self(rows)."""
        return residual + self(rows)

    def widened(self) -> Linear:
        """The plain weight that this one stands for, in float32."""
        return Linear((self.weight.float() * self.scales.unsqueeze(1)).t().contiguous(), self.bias)


def narrow(model: Decoder, kind: torch.dtype) -> Decoder:
    """The model with its products, the head's too, in int8 or float8_e4m3fn; the embedding stays as it is."""
    layers = tuple(
        replace(
            layer,
            qkv=NarrowLinear.of(layer.qkv, kind),
            output=NarrowLinear.of(layer.output, kind),
            gate_up=NarrowLinear.of(layer.gate_up, kind),
            down=NarrowLinear.of(layer.down, kind),
        )
        for layer in model.weights.layers
    )
    weights = replace(model.weights, layers=layers, head=NarrowLinear.of(model.weights.head, kind))
    return Decoder(model.config, weights)

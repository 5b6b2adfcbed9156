"""Products in int8: weights are quantized once, activations row by row as they come. Symmetric, sums are exact."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_LARGEST_CODE = 127
# Sums of more products of two codes may not fit into 32 bits.
MOST_INPUTS = (2**31 - 1) // _LARGEST_CODE**2
# Of smaller rows the inverse of the scale would be infinite: they count as zero.
_LEAST = 1e-36


def quantize(rows: Tensor) -> tuple[Tensor, Tensor]:
    """float32 rows [n, inputs] -> int8 codes [n, inputs] and float32 scales [n]: number = code * scale.

    The largest of a row becomes 127 or -127, the others are rounded, half to even. Codes mean nothing where the scale
    is not finite, as it is for a row that is not.
    """
    low, high = torch.aminmax(rows, dim=-1, keepdim=True)
    largest = torch.maximum(high, -low)
    inverse = torch.where(largest < _LEAST, 0.0, _LARGEST_CODE / largest)
    codes = (rows * inverse).round_().to(torch.int8)
    return codes, torch.where(largest < _LEAST, 0.0, largest / _LARGEST_CODE).squeeze(-1)


@dataclass(frozen=True, slots=True)
class QuantizedLinear:
    """See `Projection`. codes [outputs, inputs] as in the checkpoint, scales [outputs]: one for each output."""

    codes: Tensor
    scales: Tensor
    bias: Tensor | None

    def __call__(self, rows: Tensor) -> Tensor:
        codes, scales = quantize(rows)
        sums: Tensor = torch._int_mm(codes, self.codes.t())
        result = sums.float().mul_(scales.unsqueeze(-1)).mul_(self.scales)
        return result if self.bias is None else result.add_(self.bias)

    def add_to(self, residual: Tensor, rows: Tensor) -> Tensor:
        return self(rows).add_(residual)

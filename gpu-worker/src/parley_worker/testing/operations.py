"""The operations of a native step one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from parley_worker.native import abi
from parley_worker.native.library import Cache, Library


class Operations:
    """What the decoder does to rows between its products. All tensors are float32."""

    def __init__(self, library: Library) -> None:
        self._functions = library.functions

    def normalize(self, row: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        """RMS norm of a row."""
        out = torch.empty_like(row)
        self._functions.parley_normalize(row.data_ptr(), weight.data_ptr(), len(row), epsilon, out.data_ptr())
        return out

    def rotate(self, head: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """A head turned by its position; see `Rotary`."""
        out = head.clone()
        self._functions.parley_rotate(out.data_ptr(), cos.data_ptr(), sin.data_ptr(), len(out))
        return out

    def activate(self, gate: Tensor, up: Tensor) -> Tensor:
        """silu(gate) * up"""
        out = gate.clone()
        self._functions.parley_activate(out.data_ptr(), up.data_ptr(), len(out))
        return out

    def exp(self, values: Tensor) -> Tensor:
        return self._in_lanes(self._functions.parley_exp, values)

    def exp2(self, values: Tensor, *, rough: bool) -> Tensor:
        """Of numbers that are not positive. rough: as the weights of bfloat16 values need it."""
        return self._in_lanes(lambda data, count: self._functions.parley_exp2(data, count, rough), values)

    def bfloat16(self, values: Tensor) -> Tensor:
        """Rounded to bfloat16."""
        return self._in_lanes(self._functions.parley_round, values)

    def attend(
        self,
        cache: Cache,
        layer: int,
        head: int,
        queries: Tensor,
        positions: NDArray[np.int64],
        blocks: NDArray[np.int32],
        reach: int,
    ) -> Tensor:
        """Scaled queries [rows, heads of keys, queries of each, head_dim] attend to the heads from `head` on; so shaped
        is the result too."""
        queries = queries.contiguous()
        rows, heads, group, head_dim = queries.shape
        out = torch.empty_like(queries)
        task = abi.AttentionTask(
            *(layer, head, heads, group, rows, reach),
            *(queries.data_ptr(), heads * group * head_dim, positions.ctypes.data, blocks.ctypes.data),
            *(out.data_ptr(), heads * group * head_dim),
        )
        if self._functions.parley_attend(cache.pointer, task):
            raise MemoryError("no memory for attention")
        return out

    @staticmethod
    def _in_lanes(function: Callable[[int, int], None], values: Tensor) -> Tensor:
        padded = torch.cat((values, torch.zeros(-len(values) % 16)))
        function(padded.data_ptr(), len(padded))
        return padded[: len(values)]

"""Attention over paged keys and values by Triton kernels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from parley_worker.cuda.buffers import Inputs
from parley_worker.cuda.kernels.decode import combine_splits, decode_splits, plan_splits
from parley_worker.cuda.kernels.prefill import prefill_tiles
from parley_worker.cuda.ops import product_type
from parley_worker.engine.paged.cache import BlockCache

_COMBINED = 16  # splits that are combined at once


@dataclass(frozen=True, slots=True)
class Tiling:
    """How attention is cut: keys a tile in decode and prefill, and rows times heads a tile of a prompt.

    programs: into how many parts a decode step is cut where its sequences allow, a few for each multiprocessor.
    """

    programs: int
    decode_keys: int = 64
    prefill_keys: int = 64
    prefill_rows: int = 128

    @classmethod
    def of(cls, device: torch.device, dtype: torch.dtype) -> Tiling:
        properties = torch.cuda.get_device_properties(device)
        return cls.sized(4 * properties.multi_processor_count, dtype, properties.major)

    @classmethod
    def sized(cls, programs: int, dtype: torch.dtype, major: int) -> Tiling:
        """The greatest tiles whose sums stay in registers, for a compute capability. float32 has no tensor cores."""
        if dtype.itemsize == 4:
            return cls(programs, 16, 16, 32)
        return cls(programs) if major >= 9 else cls(programs, prefill_rows=64)


@dataclass(frozen=True, slots=True)
class Splits:
    """What `plan_splits` writes for the layers of one window."""

    firsts: Tensor
    owners: Tensor
    chunk: Tensor

    @classmethod
    def of(cls, rows: int, splits: int, device: torch.device) -> Splits:
        return cls(*(torch.zeros(size, dtype=torch.int32, device=device) for size in (rows + 1, splits, 1)))


@dataclass(frozen=True, slots=True)
class Partials:
    """The parts of a softmax, of each split and head: the weighted sum of values, the peak, the sum of weights."""

    mixed: Tensor
    peak: Tensor
    total: Tensor

    @classmethod
    def of(cls, splits: int, heads: int, head_dim: int, device: torch.device) -> Partials:
        peak = torch.empty(splits, heads, dtype=torch.float32, device=device)
        return cls(peak.new_empty(splits, heads, head_dim), peak, torch.empty_like(peak))


class PagedAttention:
    """Attends the queries of a step, whose own keys and values are in the cache already.

    rows: the most segments of one row in a step. All shapes of a launch follow from the number of rows and tiles
    alone, never from lengths, which the kernels read on the device: so a captured step fits all lengths.
    """

    def __init__(self, cache: BlockCache, heads: int, rows: int, tiling: Tiling) -> None:
        self._cache, self._heads, self._tiling = cache, heads, tiling
        self._kv_heads, self._head_dim = cache.keys.shape[3:]
        self._group = heads // self._kv_heads
        self._tile: int = max(tiling.prefill_rows, triton.next_power_of_2(self._group))
        device, splits = cache.keys.device, self._splits(rows)
        self._plans = {window: Splits.of(rows, splits, device) for window in set(cache.windows)}
        self._partials = Partials.of(splits, heads, self._head_dim, device)
        # exp2 is one instruction: log2(e) goes into the scale.
        self._scale = self._head_dim**-0.5 * math.log2(math.e)

    @property
    def tile_rows(self) -> int:
        """The rows of a prompt that share a tile."""
        return self._tile // self._group

    def plan(self, inputs: Inputs, singles: int) -> None:
        """Be ready for the layers of a step whose first `singles` segments are of one row."""
        if not singles:
            return
        for window, plan in self._plans.items():
            plan_splits[(1,)](
                inputs.positions,
                plan.firsts,
                plan.owners,
                plan.chunk,
                singles,
                self._kv_heads,
                self._tiling.programs,
                WINDOW=window or 0,
                BLOCK_N=self._tiling.decode_keys,
                BLOCK_R=triton.next_power_of_2(singles),
            )

    def attend(self, layer: int, query: Tensor, inputs: Inputs, singles: int) -> Tensor:
        """query [rows, heads, head_dim] -> [rows, heads * head_dim]. Rows of padding are left as they are."""
        output = torch.empty_like(query)
        if singles:
            self._decode(layer, query, output, inputs, singles)
        if len(inputs.tiles):
            self._prefill(layer, query, output, inputs)
        return output.flatten(1)

    def _splits(self, rows: int) -> int:
        return rows + max(1, self._tiling.programs // self._kv_heads)

    def _decode(self, layer: int, query: Tensor, output: Tensor, inputs: Inputs, singles: int) -> None:
        keys, values = self._cache.keys[layer], self._cache.values[layer]
        window = self._cache.windows[layer]
        plan, partials = self._plans[window], self._partials
        block_d = triton.next_power_of_2(self._head_dim)
        decode_splits[(self._splits(singles), self._kv_heads)](
            query,
            keys,
            values,
            output,
            partials.mixed,
            partials.peak,
            partials.total,
            inputs.tables,
            inputs.positions,
            plan.firsts,
            plan.owners,
            plan.chunk,
            inputs.header,
            singles,
            self._scale,
            query.stride(0),
            *keys.stride()[:3],
            WINDOW=window or 0,
            GROUP=self._group,
            BLOCK_G=max(16, triton.next_power_of_2(self._group)),  # the least that tensor cores take
            HEAD_DIM=self._head_dim,
            BLOCK_D=block_d,
            BLOCK_N=self._tiling.decode_keys,
            PAGE=keys.shape[1],
            PRODUCT=product_type(query),
            num_warps=4,
            num_stages=3,
        )
        combine_splits[(singles, self._heads)](
            output,
            partials.mixed,
            partials.peak,
            partials.total,
            plan.firsts,
            HEAD_DIM=self._head_dim,
            BLOCK_D=block_d,
            BLOCK_S=_COMBINED,
            num_warps=4,
        )

    def _prefill(self, layer: int, query: Tensor, output: Tensor, inputs: Inputs) -> None:
        keys, values = self._cache.keys[layer], self._cache.values[layer]
        prefill_tiles[(len(inputs.tiles), self._kv_heads)](
            query,
            keys,
            values,
            output,
            inputs.tables,
            inputs.positions,
            inputs.tiles,
            inputs.header,
            self._scale,
            query.stride(0),
            *keys.stride()[:3],
            WINDOW=self._cache.windows[layer] or 0,
            GROUP=self._group,
            BLOCK_M=self._tile,
            HEAD_DIM=self._head_dim,
            BLOCK_D=triton.next_power_of_2(self._head_dim),
            BLOCK_N=self._tiling.prefill_keys,
            PAGE=keys.shape[1],
            PRODUCT=product_type(query),
            num_warps=8 if self._tile >= 128 else 4,
            num_stages=2,
        )

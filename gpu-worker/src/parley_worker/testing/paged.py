"""Paged keys and values whose free places are poisoned, and attention over them as the textbook has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from parley_worker.cuda.attention import PagedAttention, Tiling
from parley_worker.cuda.buffers import count_singles, cut_tiles
from parley_worker.cuda.staging import Staging
from parley_worker.engine.paged.cache import BlockCache
from parley_worker.scheduler.batch import BLOCK_SIZE, Batch

Segments = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Paged:
    """One layer of keys and values for some segments, in blocks that lie in any order."""

    cache: BlockCache
    batch: Batch
    query: Tensor
    tiling: Tiling

    def attend(self, padded: int = 0) -> Tensor:
        """What the kernels make of it; `padded` rows of padding follow, where all segments are of one row."""
        heads, device = self.query.shape[1], self.query.device
        singles = count_singles(self.batch)
        attention = PagedAttention(self.cache, heads, len(self.query) + padded, self.tiling)
        tiles = cut_tiles(self.batch, singles, attention.tile_rows)
        inputs = Staging(1 << 16, device).send(self.batch, len(self.query) + padded, tiles)
        query = torch.cat((self.query, self.query.new_zeros(padded, *self.query.shape[1:])))
        attention.plan(inputs, singles + padded)
        return attention.attend(0, query, inputs, singles + padded)[: len(self.query)]

    def expect(self) -> Tensor:
        """The same by scores and masks, in float64."""
        heads, kv_heads = self.query.shape[1], self.cache.keys.shape[3]
        window, parts = self.cache.windows[0], []
        for segment, table in enumerate(torch.from_numpy(self.batch.blocks).long()):
            rows = slice(*self.batch.starts[segment : segment + 2])
            last = torch.from_numpy(self.batch.positions[rows])
            keys, values = (
                part[0].cpu()[table].flatten(0, 1)[: last[-1] + 1].double().repeat_interleave(heads // kv_heads, 1)
                for part in (self.cache.keys, self.cache.values)
            )
            back = last[:, None] - torch.arange(len(keys))
            visible = (back >= 0) & (back < (window or len(keys)))
            keys, values = (torch.where(visible.any(0)[:, None, None], part, 0.0) for part in (keys, values))
            scores = torch.einsum("rhd,khd->hrk", self.query[rows].double().cpu(), keys) * keys.shape[2] ** -0.5
            weights = scores.masked_fill(~visible, -torch.inf).softmax(-1)
            parts.append(torch.einsum("hrk,khd->rhd", weights, values).flatten(1))
        return torch.cat(parts)


def new_paged(
    segments: Segments,
    *,
    heads: int = 4,
    kv_heads: int = 2,
    head_dim: int = 64,
    window: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    tiling: Tiling | None = None,
) -> Paged:
    """Segments are (rows, first position), those of one row first. All that no row may read is NaN."""
    torch.manual_seed(heads * head_dim)
    batch = _new_batch(segments)
    shape = (1, sum(-(-sum(segment) // BLOCK_SIZE) for segment in segments) + 4, BLOCK_SIZE, kv_heads, head_dim)
    keys, values = (torch.full(shape, float("nan"), dtype=dtype) for _ in range(2))
    for segment, (length, first) in enumerate(segments):
        # What a window has left behind may hold anything too.
        places = np.arange(0 if window is None else max(0, first + 1 - window), first + length)
        held = batch.blocks[segment, places // BLOCK_SIZE]
        for part in (keys, values):
            part[0, held, places % BLOCK_SIZE] = torch.randn(len(places), kv_heads, head_dim).to(dtype)
    query = (2 * torch.randn(len(batch.tokens), heads, head_dim)).to(dtype)
    cache = BlockCache(keys.to(device), values.to(device), (window,))
    return Paged(cache, batch, query.to(device), tiling or Tiling(8, 32, 32, 16))


def _new_batch(segments: Segments) -> Batch:
    lengths = [length for length, _ in segments]
    positions = np.concatenate([np.arange(first, first + length) for length, first in segments])
    needed = [-(-(length + first) // BLOCK_SIZE) for length, first in segments]
    # Block 0 is nobody's: what is read by mistake is most often read there.
    free = np.random.default_rng(len(segments)).permutation(sum(needed) + 3).astype(np.int32) + 1
    blocks = np.full((len(segments), max(needed) + 1), free[-1], dtype=np.int32)
    for segment, count in enumerate(needed):
        blocks[segment, :count], free = free[:count], free[count:]
    starts = np.cumsum([0, *lengths]).astype(np.int32)
    return Batch(positions % 7, positions, positions + 1, starts, blocks, starts[1:].astype(np.int64) - 1)

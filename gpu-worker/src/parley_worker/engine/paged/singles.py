"""Segments of one row each, which attend in one call."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

from parley_worker.engine.paged.cache import BlockCache
from parley_worker.scheduler.batch import BLOCK_SIZE, Batch, Ints


@dataclass(frozen=True, slots=True)
class Singles:
    """rows [n] of the batch; each reads as many blocks as the one that needs most: blocks [n * count].

    mask [n, count * BLOCK_SIZE]: which of the positions read belong to the row. foreign: the others, of all rows
    flattened; they are set to zero, as what no score may depend on could be infinite. None and empty if all belong.
    """

    rows: Tensor
    blocks: Tensor
    mask: Tensor | None
    foreign: Tensor

    @classmethod
    def of(cls, batch: Batch, segments: Ints, window: int | None, device: torch.device) -> Singles:
        rows = batch.starts[segments].astype(np.int64)
        last = batch.positions[rows]
        first = np.zeros_like(last) if window is None else np.maximum(0, last + 1 - window)
        begin, end = first // BLOCK_SIZE, last // BLOCK_SIZE
        columns = begin[:, None] + np.arange(int((end - begin).max()) + 1)
        blocks = batch.blocks[segments[:, None], np.minimum(columns, end[:, None])].astype(np.int64)
        read = (columns[:, :, None] * BLOCK_SIZE + np.arange(BLOCK_SIZE)).reshape(len(rows), -1)
        mask = (first[:, None] <= read) & (read <= last[:, None])
        return cls(
            torch.from_numpy(rows).to(device),
            torch.from_numpy(blocks.reshape(-1)).to(device),
            None if mask.all() else torch.from_numpy(mask).to(device),
            torch.from_numpy(np.flatnonzero(~mask)).to(device),
        )

    def attend(self, cache: BlockCache, layer: int, query: Tensor, key: Tensor, value: Tensor, out: Tensor) -> None:
        """Attend from `query` [rows of the batch, heads, head_dim] and put what comes of it into `out`, alike."""
        keys, values = cache.read(layer, self.blocks)
        for read in (keys, values):
            read.index_fill_(0, self.foreign, 0)
        kv_heads, head_dim = key.shape[1:]
        shape = (len(self.rows), -1, kv_heads, head_dim)
        # Heads that share keys and values attend as if they were rows of one query: these are read once for all.
        attended = F.scaled_dot_product_attention(
            query.index_select(0, self.rows).unflatten(1, (kv_heads, -1)),  # type: ignore[no-untyped-call]
            keys.view(shape).transpose(1, 2),
            values.view(shape).transpose(1, 2),
            attn_mask=None if self.mask is None else self.mask[:, None, None],
        )
        out.index_copy_(0, self.rows, attended.flatten(1, 2))

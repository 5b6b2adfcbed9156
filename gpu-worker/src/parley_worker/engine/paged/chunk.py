"""A segment of several rows: a piece of a prompt, or drafts of an answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

from parley_worker.engine.paged.cache import BlockCache
from parley_worker.scheduler.batch import BLOCK_SIZE, Batch


@dataclass(frozen=True, slots=True)
class Chunk:
    """rows: those of the segment, which attend to `read` of the positions in `blocks`, as `mask` [rows, read] says.

    mask None: the rows are all that there is, and attend to each other causally.
    """

    rows: slice
    blocks: Tensor
    read: slice
    mask: Tensor | None

    @classmethod
    def of(cls, batch: Batch, segment: int, window: int | None, device: torch.device) -> Chunk:
        rows = slice(int(batch.starts[segment]), int(batch.starts[segment + 1]))
        positions = batch.positions[rows]
        first, last = int(positions[0]), int(positions[-1])
        begin = 0 if window is None else max(0, first + 1 - window)
        skipped = begin // BLOCK_SIZE
        blocks = batch.blocks[segment, skipped : last // BLOCK_SIZE + 1].astype(np.int64)
        read = slice(begin - skipped * BLOCK_SIZE, last + 1 - skipped * BLOCK_SIZE)
        back = positions[:, None] - np.arange(begin, last + 1)
        mask = back >= 0 if window is None else (back >= 0) & (back < window)
        alone = first == 0 and (window is None or last < window)
        return cls(
            rows,
            torch.from_numpy(blocks).to(device),
            read,
            None if alone else torch.from_numpy(mask).to(device),
        )

    def attend(self, cache: BlockCache, layer: int, query: Tensor, key: Tensor, value: Tensor, out: Tensor) -> None:
        """Attend from `query` [rows of the batch, heads, head_dim] and put what comes of it into `out`, alike."""
        keys, values = key[self.rows], value[self.rows]
        if self.mask is not None:
            keys, values = (held[self.read] for held in cache.read(layer, self.blocks))
        attended = F.scaled_dot_product_attention(
            query[self.rows].transpose(0, 1).unsqueeze(0),
            keys.transpose(0, 1).unsqueeze(0),
            values.transpose(0, 1).unsqueeze(0),
            attn_mask=self.mask,
            is_causal=self.mask is None,
            enable_gqa=True,
        )
        out[self.rows] = attended.squeeze(0).transpose(0, 1)

"""The attention of a step over blocks, in plain torch: what each segment reads is gathered, then attended to."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from parley_worker.engine.paged.cache import BlockCache
from parley_worker.engine.paged.chunk import Chunk
from parley_worker.engine.paged.singles import Singles
from parley_worker.scheduler.batch import BLOCK_SIZE, Batch, Ints


class GatherAttention:
    """The `Attention` of one batch after the other.

    Segments of one row attend together, in groups of similar length; longer ones one by one.
    """

    def __init__(self, cache: BlockCache) -> None:
        self._cache = cache
        self._places = torch.empty(0, dtype=torch.long)
        self._parts: dict[int | None, list[Singles | Chunk]] = {}

    def prepare(self, batch: Batch) -> None:
        """Be ready for the layers of this batch, up to the next one."""
        device = self._cache.keys.device
        segments = np.repeat(np.arange(len(batch.blocks)), np.diff(batch.starts))
        held = batch.blocks[segments, batch.positions // BLOCK_SIZE].astype(np.int64)
        self._places = torch.from_numpy(held * BLOCK_SIZE + batch.positions % BLOCK_SIZE).to(device)
        groups, chunks = _singles(batch), np.flatnonzero(np.diff(batch.starts) > 1)
        self._parts = {
            window: [
                *(Singles.of(batch, group, window, device) for group in groups),
                *(Chunk.of(batch, int(segment), window, device) for segment in chunks),
            ]
            for window in set(self._cache.windows)
        }

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """See `Attention`."""
        self._cache.write(layer, self._places, key, value)
        attended = torch.empty_like(query, memory_format=torch.contiguous_format)
        for part in self._parts[self._cache.windows[layer]]:
            part.attend(self._cache, layer, query, key, value, attended)
        return attended.flatten(1)


def _singles(batch: Batch) -> list[Ints]:
    """The segments of one row, in groups of which the longest has at most twice the blocks of the shortest."""
    segments = np.flatnonzero(np.diff(batch.starts) == 1)
    last = batch.positions[batch.starts[segments]] // BLOCK_SIZE
    sizes = np.frexp(last)[1]
    return [segments[sizes == size] for size in np.unique(sizes)]

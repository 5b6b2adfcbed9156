"""The executor on a CUDA device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from parley_worker.cuda.attention import PagedAttention, Tiling
from parley_worker.cuda.buffers import count_singles, cut_tiles
from parley_worker.cuda.forward import Forward
from parley_worker.cuda.graphs import Graphs, bucket, buckets
from parley_worker.cuda.staging import Staging
from parley_worker.engine.paged.cache import BlockCache
from parley_worker.models.decoder import Decoder
from parley_worker.scheduler.batch import BLOCK_SIZE, Batch


@dataclass(frozen=True, slots=True)
class Limits:
    """The greatest step: segments, rows of all of them, and tokens of the longest sequence."""

    segments: int
    rows: int
    window: int


class CudaExecutor:
    """A decoder with a cache of `blocks` blocks; see `Executor`. Nothing here waits for the device.

    Steps of one row a sequence are played as CUDA graphs, one for each bucket of rows; steps with prompts are launched
    kernel by kernel. `remember` makes drawn tokens known to the next batch. tiling: how attention is cut, by default as
    suits the device. graphs False: nothing is captured, which is for tests, and for a CPU with Triton's interpreter.
    Dynamic rope is never captured: its frequencies are made anew in each step, partly on the host.
    """

    invariant = False
    looks_ahead = True

    def __init__(
        self, model: Decoder, blocks: int, limits: Limits, *, tiling: Tiling | None = None, graphs: bool = True
    ) -> None:
        self.blocks, self._limits, self._model = blocks, limits, model
        self.cache = BlockCache.of(model, blocks)
        tiling = tiling or Tiling.of(model.device, model.dtype)
        self._attention = PagedAttention(self.cache, model.config.heads, bucket(limits.segments), tiling)
        self._forward = Forward(model, self.cache, self._attention)
        self._staging = Staging(_ints(limits, self._attention.tile_rows), model.device)
        self._drawn = torch.zeros(limits.rows, dtype=torch.long, device=model.device)
        self._known = 0
        graphs = graphs and not model.config.needs_lengths
        self._graphs = Graphs(self._compute) if graphs else None
        # Of all graphs, which would hold one each; without them it stays empty.
        shape = (bucket(limits.segments) if graphs else 0, model.config.vocab_size)
        self._scores = torch.empty(shape, dtype=torch.float32, device=model.device)

    @property
    def vocab_size(self) -> int:
        return self._model.config.vocab_size

    @torch.no_grad()
    def capture(self) -> None:
        """Record the graphs of all buckets and compile what prompts need, so that no answer waits for it.

        Writes into block 0.
        """
        if self._graphs:
            for rows in buckets(self._limits.segments):
                self._staging.send(_NOTHING, rows, _NO_TILES)
                self._graphs.run(rows)
        self.execute(_PROMPT)

    @torch.no_grad()
    def execute(self, batch: Batch) -> Tensor:
        """See `Executor`. ValueError: the batch is over the limits, or names a token that was not drawn."""
        count, singles = len(batch.tokens), count_singles(batch)
        if not count:
            return torch.empty(0, self.vocab_size, device=self._model.device)
        if count > self._limits.rows or len(batch.blocks) > self._limits.segments:
            raise ValueError(f"{count} rows of {len(batch.blocks)} segments are over the executor's {self._limits}")
        if batch.tokens.min() < -self._known:
            raise ValueError(f"draw {-1 - batch.tokens.min()} of a step that drew {self._known} tokens")
        if self._graphs and singles == len(batch.blocks):
            return self._play(self._graphs, batch)
        tiles = cut_tiles(batch, singles, self._attention.tile_rows)
        inputs = self._staging.send(batch, count, tiles)
        return self._forward.scores(inputs, singles, self._drawn, inputs.draws[: len(batch.draws)]).float()

    def remember(self, tokens: Tensor) -> None:
        """Let the next batch name these as its tokens -1, -2, ...: what was drawn [draws], int64, on the device."""
        self._known = len(tokens)
        self._drawn[: self._known].copy_(tokens)

    def _play(self, graphs: Graphs, batch: Batch) -> Tensor:
        count, rows = len(batch.tokens), bucket(len(batch.tokens))
        inputs = self._staging.send(batch, rows, _NO_TILES)
        graphs.run(rows)
        if len(batch.draws) == count:
            return self._scores[:count]
        return self._scores.index_select(0, inputs.draws[: len(batch.draws)])

    def _compute(self, rows: int) -> None:
        self._scores[:rows].copy_(self._forward.scores(self._staging.view(rows), rows, self._drawn, None))


_NO_TILES = np.zeros((0, 3), dtype=np.int32)
_NONE, _TABLE = np.zeros(0, dtype=np.int64), np.zeros((1, 1), dtype=np.int32)
_NOTHING = Batch(_NONE, _NONE, _NONE, np.zeros(1, np.int32), _TABLE[:0], _NONE)
_PROMPT = Batch(
    np.zeros(2, np.int64), np.arange(2), np.full(2, 2), np.array([0, 2], np.int32), _TABLE, np.ones(1, np.int64)
)


def _ints(limits: Limits, tile_rows: int) -> int:
    rows = max(limits.rows, bucket(limits.segments))
    tiles = rows // tile_rows + limits.segments
    tables = limits.segments * -(-limits.window // BLOCK_SIZE)
    return 64 + 5 * rows + 3 * tiles + tables

"""The executor in plain torch: what runs where nothing faster is there, on any device that torch knows."""

from __future__ import annotations

import torch
from torch import Tensor

from parley_worker.engine.paged.attention import GatherAttention
from parley_worker.engine.paged.cache import BlockCache
from parley_worker.models.decoder import Decoder
from parley_worker.scheduler.batch import Batch, Ints


class TorchExecutor:
    """A decoder with a cache of `blocks` blocks; see `Executor`."""

    invariant = False
    looks_ahead = False

    def __init__(self, model: Decoder, blocks: int) -> None:
        """Raises EngineConfigError if there is no memory for so many blocks."""
        self.blocks = blocks
        self.cache = BlockCache.of(model, blocks)
        self._model, self._attention = model, GatherAttention(self.cache)

    @torch.no_grad()
    def execute(self, batch: Batch) -> Tensor:
        """See `Executor`."""
        model = self._model
        if not len(batch.tokens):
            return torch.empty(0, model.config.vocab_size, device=model.device)
        lengths = self._tensor(batch.lengths) if model.config.needs_lengths else None
        self._attention.prepare(batch)
        hidden = model.forward(self._tensor(batch.tokens), self._tensor(batch.positions), self._attention, lengths)
        return model.logits(hidden[self._tensor(batch.draws)])

    def _tensor(self, values: Ints) -> Tensor:
        return torch.from_numpy(values).to(self._model.device)

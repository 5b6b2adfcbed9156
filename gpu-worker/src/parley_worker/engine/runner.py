"""Runs steps on the model. Tensors begin here."""

from __future__ import annotations

from itertools import accumulate, chain

import torch

from parley_worker.engine.cache import SlotAttention, SlotCache
from parley_worker.engine.sampler import draw_tokens
from parley_worker.models.llama import Llama
from parley_worker.scheduler.step import Segment, Step


class Runner:
    """A model with its cache of `slots` windows of `window` tokens."""

    def __init__(self, model: Llama, slots: int, window: int) -> None:
        self._model = model
        self._cache = SlotCache(model, slots, window)

    @torch.inference_mode()
    def run(self, step: Step) -> list[int | None]:
        """Compute a step: the tokens of `step.drawing` in that order, None where the scores were not finite."""
        for edit in step.edits:
            self._cache.edit(edit)
        if not step.segments:
            return []
        tokens = self._tensor(chain.from_iterable(map(_tokens, step.segments)))
        positions = self._tensor(chain.from_iterable(map(_positions, step.segments)))
        attention = SlotAttention(self._cache, step.segments, positions)
        hidden = self._model.forward(tokens, positions, attention)
        ends = accumulate(segment.length for segment in step.segments)
        rows = [end - 1 for end, segment in zip(ends, step.segments, strict=True) if segment.draws]
        logits = self._model.logits(hidden if len(rows) == len(hidden) else hidden[rows])
        return draw_tokens([segment.sequence for segment in step.drawing], logits)

    def _tensor(self, values: chain[int]) -> torch.Tensor:
        return torch.tensor(list(values), dtype=torch.long, device=self._model.device)


def _tokens(segment: Segment) -> list[int]:
    return segment.sequence.tokens[segment.start : segment.start + segment.length]


def _positions(segment: Segment) -> range:
    return range(segment.start, segment.start + segment.length)

"""Runs steps on the model. Tensors begin here."""

from __future__ import annotations

from itertools import accumulate, chain

import torch

from parley_worker.engine.cache import SlotAttention, SlotCache
from parley_worker.engine.sampler import draw_tokens
from parley_worker.models.decoder import Decoder
from parley_worker.scheduler.step import Segment, Step


class Runner:
    """A model with its cache of `slots` windows of `window` tokens."""

    def __init__(self, model: Decoder, slots: int, window: int) -> None:
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
        lengths = None
        if self._model.needs_lengths:
            lengths = self._tensor(chain.from_iterable(map(_lengths, step.segments)))
        hidden = self._model.forward(tokens, positions, attention, lengths)
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


def _lengths(segment: Segment) -> list[int]:
    """See `Decoder.forward`: a prompt counts as a whole, whatever chunks it comes in."""
    request = segment.sequence.request
    prompt = len(request.token_ids) - request.answered
    return [max(prompt, position + 1) for position in _positions(segment)]

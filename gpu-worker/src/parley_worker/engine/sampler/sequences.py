"""Draws for the sequences of the dense engine."""

from __future__ import annotations

from collections.abc import Sequence as Ordered

from torch import Tensor

from parley_worker.engine.sampler.plan import Plan
from parley_worker.scheduler.draw import Draw
from parley_worker.scheduler.request import Sequence


def draw_tokens(sequences: Ordered[Sequence], logits: Tensor) -> list[int | None]:
    """The next token of each sequence from its row of float32 `logits` [sequences, vocab]; None: not finite.

    `logits` is overwritten.
    """
    plan = Plan.of(list(map(_draw, sequences)), logits.shape[-1], logits.device)
    return [None if drawn is None else drawn.token_id for drawn in plan.sample(logits).read()]


def _draw(sequence: Sequence) -> Draw:
    request = sequence.request
    return Draw(request.sampling, sequence.answered, sequence.tokens, len(request.token_ids) - request.answered)

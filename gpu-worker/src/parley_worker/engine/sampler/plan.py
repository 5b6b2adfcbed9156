"""How a batch is to be drawn: all that the host has to do for it, done before the scores are there."""

from __future__ import annotations

from collections.abc import Sequence as Ordered
from dataclasses import dataclass

import torch
from torch import Tensor

from parley_worker.engine.sampler import shortlist, whole
from parley_worker.engine.sampler.blocks import highest, per_block
from parley_worker.engine.sampler.greedy import best_on_host
from parley_worker.engine.sampler.group import Group, group
from parley_worker.engine.sampler.logprobs import LogProbs, rows_with_logprobs
from parley_worker.engine.sampler.penalties import Penalties
from parley_worker.engine.sampler.sampled import Sampled
from parley_worker.engine.sampler.transfer import batches
from parley_worker.scheduler.draw import Draw


@dataclass(frozen=True, slots=True)
class Plan:
    """Draws a token for each of D rows of scores.

    The order of a draw is transformers': penalties, temperature, top_k, top_p within these, min_p within these. What
    a row draws depends on its scores, settings, seed and index alone, to the bit: never on the other rows or on what
    was drawn before.
    """

    draws: tuple[Draw, ...]
    penalties: Penalties | None
    groups: tuple[Group, ...]
    told: Tensor | None

    @classmethod
    def of(cls, draws: Ordered[Draw], vocab: int, device: torch.device) -> Plan:
        """Read the draws, now: later their lists of tokens may have grown. Waits for nothing on the device."""
        return cls(
            tuple(draws),
            Penalties.of(draws, device),
            tuple(group(draws, vocab, device)),
            rows_with_logprobs(draws, device),
        )

    def sample(self, logits: Tensor) -> Sampled:
        """Draw from float32 `logits` [D, vocab], which are overwritten. On a GPU the host waits for nothing.

        Rows with a score that is not finite have no token.
        """
        logprobs = None if self.told is None else LogProbs.of(logits, self.told)
        if self.penalties:
            self.penalties.apply(logits)
        if not self.groups and logits.device.type == "cpu":
            return Sampled(self.draws, *best_on_host(logits), logprobs)
        maxima, finite = _survey(logits)
        greedy = highest(logits, maxima)
        tokens = greedy.clone()
        for part in self.groups:
            tokens[part.rows] = _draw(logits, maxima, greedy, part)
        return Sampled(self.draws, tokens, finite, logprobs)


@torch.inference_mode()
def sample(scores: Tensor, draws: Ordered[Draw]) -> Sampled:
    """Draw by a plan that is made now."""
    return Plan.of(draws, scores.shape[-1], scores.device).sample(scores)


def _survey(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The best score of each block, and which rows are finite."""
    parts = [(per_block(part, torch.amax), per_block(part, torch.amin).amin(dim=-1)) for part in batches(logits)]
    maxima, least = (torch.cat(column) for column in zip(*parts, strict=True))
    return maxima, maxima.amax(dim=-1).isfinite() & least.isfinite()


def _draw(logits: Tensor, maxima: Tensor, greedy: Tensor, part: Group) -> Tensor:
    if part.kind.width:
        return shortlist.draw(logits, maxima, part)
    return whole.draw(logits, greedy[part.rows], part)

"""Draws from the best tokens alone: rows with a top_k."""

from __future__ import annotations

import torch
from torch import Tensor

from parley_worker.engine.sampler.blocks import best
from parley_worker.engine.sampler.group import Group
from parley_worker.engine.sampler.ties import Ties


def draw(logits: Tensor, maxima: Tensor, group: Group) -> Tensor:
    """The ids drawn for the rows of a group [R]: temperature, the best top_k, of these top_p, of these min_p.

    As with transformers, what scores as the last of the top_k is among them, however many tokens these are.
    """
    scores, ids = best(logits, maxima, group.rows, group.kind.width)
    ties = _ties(logits, scores, ids, group)
    weights = kept(scores, group, ties)
    ends = weights.cumsum(dim=-1)
    tie = _last(weights, group)
    beyond = 0.0 if ties is None else ties.count * tie
    target = group.uniforms.unsqueeze(-1) * (ends[:, -1:] + beyond)
    choice = torch.searchsorted(ends, target, right=True)
    drawn = ids.gather(-1, choice.clamp(max=group.kind.width - 1))
    if ties is not None:
        places = ((target - ends[:, -1:]) / tie).long().clamp(min=0).minimum(ties.count - 1)
        drawn = torch.where((target < ends[:, -1:]) | (ties.count == 0), drawn, ties.find(places))
    return drawn.squeeze(-1)


def kept(scores: Tensor, group: Group, ties: Ties | None = None) -> Tensor:
    """What each of the best `scores` [R, width], best first, weighs; 0: it is not to be drawn.

    Those that score alike, `ties` included, stay or go together.
    """
    weights = ((scores - scores[:, :1]).double() / group.temperature.unsqueeze(-1)).exp()
    weights = weights.masked_fill(scores < _last(scores, group), 0.0)
    total = weights.sum(dim=-1, keepdim=True)
    if ties is not None:
        total = total + ties.count * _last(weights, group)
    better = weights.cumsum(dim=-1) - weights
    outside = better >= group.top_p.unsqueeze(-1) * total
    outside[:, 0] = False
    least = weights.masked_fill(outside, torch.inf).amin(dim=-1, keepdim=True)
    return weights.masked_fill(weights < least.maximum(group.min_p.unsqueeze(-1)), 0.0)


def _last(values: Tensor, group: Group) -> Tensor:
    """Of values [R, width], best first: that of the last of the top_k [R, 1]."""
    return values.gather(-1, group.top_k.unsqueeze(-1) - 1)


def _ties(logits: Tensor, scores: Tensor, ids: Tensor, group: Group) -> Ties | None:
    """On a CPU only where a shortlist ends among them; with a GPU one would have to wait to know that."""
    last = _last(scores, group)
    if logits.is_cpu and not (scores[:, -1:] == last).any():
        return None
    return Ties.of(group.scores(logits), ids, last)

"""Draws from the best tokens alone: rows with a top_k."""

from __future__ import annotations

import torch
from torch import Tensor

from parley_worker.engine.sampler.blocks import best
from parley_worker.engine.sampler.group import Group


def draw(logits: Tensor, maxima: Tensor, group: Group) -> Tensor:
    """The ids drawn for the rows of a group [R]: temperature, the best top_k, of these top_p, of these min_p."""
    scores, ids = best(logits, maxima, group.rows, group.kind.width)
    weights = kept(scores, group)
    ends = weights.cumsum(dim=-1)
    choice = torch.searchsorted(ends, group.uniforms.unsqueeze(-1) * ends[:, -1:], right=True)
    return ids.gather(-1, choice.clamp(max=group.kind.width - 1)).squeeze(-1)


def kept(scores: Tensor, group: Group) -> Tensor:
    """What each of the best `scores` [R, width], best first, weighs; 0: it is not to be drawn."""
    scaled = (scores - scores[:, :1]).double() / group.temperature.unsqueeze(-1)
    places = torch.arange(scores.shape[-1], device=scores.device)
    weights = scaled.masked_fill(places >= group.top_k.unsqueeze(-1), -torch.inf).softmax(dim=-1)
    better = weights.cumsum(dim=-1) - weights
    small = (better >= group.top_p.unsqueeze(-1)) | (weights < group.min_p.unsqueeze(-1) * weights[:, :1])
    small[:, 0] = False
    return weights.masked_fill(small, 0.0)

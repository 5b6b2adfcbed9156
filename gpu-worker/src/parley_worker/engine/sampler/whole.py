"""Draws from whole rows: nothing is sorted, what a setting removes is cut off by its probability."""

from __future__ import annotations

import torch
from torch import Tensor

from parley_worker.engine.sampler.blocks import best, invert, per_block
from parley_worker.engine.sampler.group import Group

# Most nuclei are in the best tokens; only the CPU may look whether they are, as a GPU would have to be waited for.
_CANDIDATES = 256
# All float32 from 0 to 1 are the integers from 0 to this, in the same order.
_ONE = 0x3F800000
_BISECTIONS = 30


def draw(logits: Tensor, tokens: Tensor, group: Group) -> Tensor:
    """The ids drawn for the rows of a group [R], of which `tokens` are the best: temperature, top_k, top_p, min_p."""
    return invert(kept(group.scores(logits), tokens, group), group.uniforms)


def kept(scores: Tensor, tokens: Tensor, group: Group) -> Tensor:
    """What each of the tokens weighs, float32 [R, vocab]; 0: it is not to be drawn. Ties stay or go together."""
    scaled = scores - scores.gather(-1, tokens.unsqueeze(-1))
    weights = scaled.div_(group.temperature.clamp(max=1e30).float().unsqueeze(-1)).softmax(dim=-1)
    if group.kind.limited:
        _cut(weights, weights.topk(group.widest, dim=-1).values.gather(-1, group.top_k.unsqueeze(-1) - 1))
    if group.kind.nucleus:
        _cut(weights, _nucleus(weights, group.top_p))
    if group.any_min_p:
        _cut(weights, group.min_p.float().unsqueeze(-1) * weights.gather(-1, tokens.unsqueeze(-1)))
    return weights


def _cut(weights: Tensor, least: Tensor) -> None:
    weights.mul_(weights >= least)


def _nucleus(weights: Tensor, top_p: Tensor) -> Tensor:
    """The smallest weight of the nucleus [R, 1]: what is better than it weighs less than top_p of all."""
    share = top_p.unsqueeze(-1) * _total(weights)
    if not weights.is_cpu:
        return _bisected(weights, share)
    rows = torch.arange(len(weights))
    values, _ = best(weights, per_block(weights, torch.amax), rows, min(_CANDIDATES, weights.shape[-1]))
    ends = values.cumsum(dim=-1, dtype=torch.float64)
    least = values.masked_fill(ends - values >= share, torch.inf).amin(dim=-1, keepdim=True)
    wider = (ends[:, -1:] < share).squeeze(-1).nonzero().squeeze(-1)
    if len(wider):
        least[wider] = _bisected(weights[wider], share[wider])
    return least


def _bisected(weights: Tensor, share: Tensor) -> Tensor:
    """The smallest float32 [R, 1] over which lies less than `share` of a row's weight."""
    low = torch.zeros(share.shape, dtype=torch.int32, device=weights.device)
    high = torch.full_like(low, _ONE)
    for _ in range(_BISECTIONS):
        middle = low + (high - low) // 2
        enough = _total(weights * (weights > middle.view(torch.float32))) < share
        high, low = torch.where(enough, middle, high), torch.where(enough, low, middle)
    return high.view(torch.float32)


def _total(weights: Tensor) -> Tensor:
    return per_block(weights, torch.sum).sum(dim=-1, keepdim=True, dtype=torch.float64)

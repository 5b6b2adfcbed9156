"""Rows of a vocabulary in blocks: one fast pass tells which few blocks are worth looking into.

Every function gives a row the same bits whatever the other rows are.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

BLOCK = 64

Reduction = Callable[[Tensor, int], Tensor]


def per_block(rows: Tensor, reduction: Reduction) -> Tensor:
    """Reduce each block of `rows` [R, V] to [R, ceil(V / BLOCK)]; the last block may be short."""
    end = rows.shape[-1] // BLOCK * BLOCK
    whole = reduction(rows[:, :end].view(len(rows), end // BLOCK, BLOCK), -1)
    if end == rows.shape[-1]:
        return whole
    return torch.cat([whole, reduction(rows[:, end:], -1).unsqueeze(-1)], dim=-1)


def members(blocks: Tensor, vocab: int) -> tuple[Tensor, Tensor | None]:
    """The ids in each of `blocks` [R, B], as [R, B * BLOCK], and which of them only fill a short block up, if any."""
    ids = (blocks.unsqueeze(-1) * BLOCK + torch.arange(BLOCK, device=blocks.device)).flatten(1)
    return (ids, None) if vocab % BLOCK == 0 else (ids.clamp(max=vocab - 1), ids >= vocab)


def highest(scores: Tensor, maxima: Tensor) -> Tensor:
    """The id of the best score of each row [R], the first of ties. `maxima`: of the blocks of `scores`."""
    ids, _ = members(maxima.argmax(dim=-1, keepdim=True), scores.shape[-1])
    # What fills a short block up repeats its last score, which argmax has met before.
    return ids.gather(-1, scores.gather(-1, ids).argmax(dim=-1, keepdim=True)).squeeze(-1)


def best(scores: Tensor, maxima: Tensor, rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` best scores of the `rows` [R] of `scores`, best first, and their ids, both [R, count].

    The best `count` scores are in the `count` blocks with the highest maxima. count is at most the vocabulary.
    """
    blocks = maxima[rows].topk(min(count, maxima.shape[-1]), dim=-1, sorted=False).indices
    ids, filling = members(blocks, scores.shape[-1])
    found = scores[rows.unsqueeze(-1), ids]
    if filling is not None:
        found = found.masked_fill(filling, -torch.inf)
    top = found.topk(count, dim=-1)
    return top.values, ids.gather(-1, top.indices)


def invert(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Draw an id of each row [R] of float32 `weights` [R, V] by its float64 number in [0, 1): inverse of the CDF.

    float32 sums within a block, float64 sums over the blocks: no probability is off by more than some 1e-7 of itself,
    and what weighs nothing is never drawn. A weight that is not finite gives its row some id.
    """
    ends = per_block(weights, torch.sum).cumsum(dim=-1, dtype=torch.float64)
    target = uniforms.unsqueeze(-1) * ends[:, -1:]
    block = _first_beyond(ends, target)
    rest = target - pad(ends, (1, 0)).gather(-1, block)
    ids, _ = members(block, weights.shape[-1])  # what fills a short block up comes after all that can be drawn
    within = weights.gather(-1, ids).cumsum(dim=-1, dtype=torch.float64)
    return ids.gather(-1, _first_beyond(within, rest)).squeeze(-1)


def _first_beyond(ends: Tensor, target: Tensor) -> Tensor:
    """Where each row of rising sums [R, N] first exceeds its target [R, 1]; at most where it reaches its end."""
    last = torch.searchsorted(ends, ends[:, -1:].contiguous())
    return torch.minimum(torch.searchsorted(ends, target, right=True), last).clamp(max=ends.shape[-1] - 1)

"""The cosines and sines of a model's positions, computed once and the same to the bit in any batch."""

from __future__ import annotations

import torch
from torch import Tensor

from parley_worker.models.config import ModelConfig
from parley_worker.models.rotary import Rotary

# Small enough that torch computes a page on one thread: how it would split a larger one changes the last bits.
_PAGE = 128


class Rotations:
    """Looks up what Rotary computes. A page of positions is always computed whole, as what torch gives for an element
    may depend on the place that it has in its tensor."""

    def __init__(self, config: ModelConfig) -> None:
        self._rope = config.rope
        self._rotary = Rotary(config.rope, config.head_dim, torch.device("cpu"))
        self._cos = self._sin = torch.empty(0, config.head_dim)

    def __call__(self, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """positions and lengths [rows], as in Batch -> cosines and signed sines [rows, head_dim], float32."""
        last = int(positions.max())
        if last >= len(self._cos):
            self._extend(last)
        cos, sin = self._cos[positions], self._sin[positions]
        if self._rope.kind == "dynamic":
            for row in (lengths > self._rope.original_length).nonzero().flatten().tolist():
                here = slice(row, row + 1)
                grown = self._rotary(positions[here], lengths[here], torch.float32)
                cos[row], sin[row] = grown[0][0, 0], grown[1][0, 0]
        return cos, sin

    def _extend(self, last: int) -> None:
        """As far as twice what there is, so that positions that come one by one are seldom met with."""
        begin, end = len(self._cos), max(last + 1, 2 * len(self._cos))
        starts = range(begin, end, _PAGE)
        pages = [
            self._rotary(torch.arange(start, start + _PAGE), torch.full((_PAGE,), 0), torch.float32) for start in starts
        ]
        self._cos = torch.cat((self._cos, *(cos[:, 0] for cos, _ in pages)))
        self._sin = torch.cat((self._sin, *(sin[:, 0] for _, sin in pages)))

    def _page(self, start: int) -> tuple[Tensor, Tensor]:
        short = torch.zeros(_PAGE, dtype=torch.long)
        return self._rotary(torch.arange(start, start + _PAGE), short, torch.float32)

"""The cosines and sines of a model's positions, computed once and the same to the bit in any batch."""

from __future__ import annotations

from collections.abc import Sequence as Ordered
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from parley_worker.models.config import ModelConfig
from parley_worker.models.rotary import Rotary
from parley_worker.scheduler.batch import Ints

Floats = NDArray[np.float32]

# Small enough that torch computes a page on one thread: how it would split a larger one changes the last bits.
_PAGE = 128


@dataclass(frozen=True, slots=True, eq=False)
class Angles:
    """cos and signed sin [angles, head_dim]. of_rows: which of them each row of a batch has; None: its position's."""

    cos: Floats
    sin: Floats
    of_rows: Ordered[int] | None = None


class Rotations:
    """Keeps what Rotary computes. A page of positions is always computed whole, as what torch gives for an element may
    depend on the place that it has in its tensor."""

    def __init__(self, config: ModelConfig) -> None:
        self._rope = config.rope
        self._grows = config.rope.kind == "dynamic"
        self._rotary = Rotary(config.rope, config.head_dim, torch.device("cpu"))
        nothing = np.empty((0, config.head_dim), np.float32)
        self._angles, self._known = Angles(nothing, nothing), 0

    def __call__(self, longest: int, positions: Ordered[int], lengths: Ordered[int]) -> Angles:
        """positions, all below `longest`, and lengths [rows] as in Batch. The same object while it says the same."""
        if longest > self._known:
            self._extend(longest)
        if self._grows and max(lengths) > self._rope.original_length:
            return self._grow(np.array(positions, np.int64), np.array(lengths, np.int64))
        return self._angles

    def _grow(self, positions: Ints, lengths: Ints) -> Angles:
        """Rows of long sequences turn by frequencies of their own."""
        cos, sin = self._angles.cos[positions], self._angles.sin[positions]
        for row in np.flatnonzero(lengths > self._rope.original_length):
            cos[row], sin[row] = self._compute(positions[row : row + 1], lengths[row : row + 1])
        return Angles(cos, sin, range(len(cos)))

    def _extend(self, longest: int) -> None:
        """As far as twice what there is, so that positions that come one by one are seldom met with."""
        starts = range(self._known, max(longest, 2 * self._known), _PAGE)
        pages = [self._compute(np.arange(start, start + _PAGE), np.zeros(_PAGE, np.int64)) for start in starts]
        cos = np.concatenate((self._angles.cos, *(cos for cos, _ in pages)))
        sin = np.concatenate((self._angles.sin, *(sin for _, sin in pages)))
        self._angles, self._known = Angles(cos, sin), len(cos)

    def _compute(self, positions: Ints, lengths: Ints) -> tuple[Floats, Floats]:
        cos, sin = self._rotary(torch.from_numpy(positions), torch.from_numpy(lengths), torch.float32)
        return cos[:, 0].numpy(), sin[:, 0].numpy()

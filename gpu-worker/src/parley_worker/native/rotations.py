"""The cosines and sines of a model's positions, computed once and the same to the bit in any batch."""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class Angles:
    """cos and signed sin [angles, head_dim], and which of them each row of a batch has [rows]."""

    cos: Floats
    sin: Floats
    of_rows: Ints


class Rotations:
    """Keeps what Rotary computes. A page of positions is always computed whole, as what torch gives for an element may
    depend on the place that it has in its tensor."""

    def __init__(self, config: ModelConfig) -> None:
        self._rope = config.rope
        self._rotary = Rotary(config.rope, config.head_dim, torch.device("cpu"))
        self._cos = self._sin = np.empty((0, config.head_dim), np.float32)

    def __call__(self, positions: Ints, lengths: Ints) -> Angles:
        """positions and lengths [rows], as in Batch; the positions are not negative."""
        last = int(positions.max())
        if last >= len(self._cos):
            self._extend(last)
        angles = Angles(self._cos, self._sin, positions)
        if self._rope.kind == "dynamic" and (lengths > self._rope.original_length).any():
            return self._grow(angles, lengths)
        return angles

    def _grow(self, angles: Angles, lengths: Ints) -> Angles:
        """Rows of long sequences turn by frequencies of their own."""
        cos, sin = angles.cos[angles.of_rows], angles.sin[angles.of_rows]
        for row in np.flatnonzero(lengths > self._rope.original_length):
            cos[row], sin[row] = self._compute(angles.of_rows[row : row + 1], lengths[row : row + 1])
        return Angles(cos, sin, np.arange(len(cos)))

    def _extend(self, last: int) -> None:
        """As far as twice what there is, so that positions that come one by one are seldom met with."""
        starts = range(len(self._cos), max(last + 1, 2 * len(self._cos)), _PAGE)
        pages = [self._compute(np.arange(start, start + _PAGE), np.zeros(_PAGE, np.int64)) for start in starts]
        self._cos = np.concatenate((self._cos, *(cos for cos, _ in pages)))
        self._sin = np.concatenate((self._sin, *(sin for _, sin in pages)))

    def _compute(self, positions: Ints, lengths: Ints) -> tuple[Floats, Floats]:
        cos, sin = self._rotary(torch.from_numpy(positions), torch.from_numpy(lengths), torch.float32)
        return cos[:, 0].numpy(), sin[:, 0].numpy()

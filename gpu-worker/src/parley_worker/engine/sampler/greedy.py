"""The best token of each row, where nothing else is asked for."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def best_on_host(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Of rows [D, V] on the CPU: the ids of their best scores, the first of ties, and whether all scores are finite.

    By numpy: after a step has streamed the weights through the caches, each call of torch costs several times as much.
    """
    rows = scores.numpy()
    tokens = rows.argmax(axis=-1)  # of a NaN, if there is one
    best = rows[np.arange(len(rows)), tokens]
    finite = np.isfinite(best) & np.isfinite(rows.min(axis=-1))
    return torch.from_numpy(tokens), torch.from_numpy(finite)

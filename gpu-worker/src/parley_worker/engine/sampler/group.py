"""Which draws go through the same kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Sequence as Ordered
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from parley_worker.engine.sampler.randomness import uniform
from parley_worker.engine.sampler.transfer import rows_at_once, to_device
from parley_worker.scheduler.draw import Draw
from parley_worker.scheduler.request import Sampling

WIDEST = 256
"""The widest shortlist: rows with a larger top_k are cut where their probabilities lie in the vocabulary."""
# Below this a temperature only overflows: the best token has all of the probability.
_GREEDY_TEMPERATURE = 1e-5
_NARROWEST = 32


def is_greedy(sampling: Sampling, vocab: int) -> bool:
    """Whether only the best token can be drawn."""
    # The best of `vocab` tokens has at least 1 / vocab of the probability: a smaller nucleus holds it alone.
    return sampling.temperature < _GREEDY_TEMPERATURE or sampling.top_k == 1 or sampling.top_p * vocab <= 1.0


class Kind(NamedTuple):
    """What a draw needs, by its own settings alone, so that it goes through the same kernels in any company.

    width: of the shortlist of best tokens that it is drawn from, 0 without one. limited: by a top_k that is wider.
    nucleus: top_p is on; on a shortlist it costs nothing and is not told apart.
    """

    width: int = 0
    limited: bool = False
    nucleus: bool = False

    @classmethod
    def of(cls, sampling: Sampling, vocab: int) -> Kind | None:
        """None: greedy."""
        if is_greedy(sampling, vocab):
            return None
        limited = 0 < sampling.top_k < vocab
        if limited and sampling.top_k <= WIDEST:
            return cls(width=min(vocab, max(_NARROWEST, 1 << (sampling.top_k - 1).bit_length())))
        return cls(limited=limited, nucleus=sampling.top_p < 1.0)


@dataclass(frozen=True, slots=True)
class Group:
    """R draws of a kind: their `rows` of the scores, and a setting of each draw, float64 [R].

    top_k: as int64 [R], 0 where off. first: their first row if they follow each other. any_min_p: whether one is on.
    """

    kind: Kind
    rows: Tensor
    first: int | None
    temperature: Tensor
    top_k: Tensor
    top_p: Tensor
    min_p: Tensor
    uniforms: Tensor
    widest: int
    any_min_p: bool

    @classmethod
    def of(cls, kind: Kind, rows: Ordered[int], draws: Ordered[Draw], device: torch.device) -> Group:
        settings = [draw.sampling for draw in draws]

        def column(read: Callable[[Sampling], float]) -> Tensor:
            return to_device(np.array([read(sampling) for sampling in settings], dtype=np.float64), device)

        uniforms = np.array([uniform(draw.sampling.seed, draw.index) for draw in draws])
        return cls(
            kind=kind,
            rows=to_device(np.array(rows, dtype=np.int64), device),
            first=rows[0] if rows[-1] - rows[0] == len(rows) - 1 else None,
            temperature=column(lambda sampling: sampling.temperature),
            top_k=column(lambda sampling: sampling.top_k).long(),
            top_p=column(lambda sampling: sampling.top_p),
            min_p=column(lambda sampling: sampling.min_p),
            uniforms=to_device(uniforms, device),
            widest=max(sampling.top_k for sampling in settings),
            any_min_p=any(sampling.min_p for sampling in settings),
        )

    def scores(self, logits: Tensor) -> Tensor:
        """The rows of this group; may be a view."""
        return logits[self.rows] if self.first is None else logits[self.first : self.first + len(self.rows)]


def group(draws: Ordered[Draw], vocab: int, device: torch.device) -> Iterator[Group]:
    """The draws that are not greedy."""
    kinds: dict[Kind, list[int]] = {}
    for row, draw in enumerate(draws):
        kind = Kind.of(draw.sampling, vocab)
        if kind is not None:
            kinds.setdefault(kind, []).append(row)
    for kind, rows in kinds.items():
        size = len(rows) if kind.width else rows_at_once(vocab, device)
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            yield Group.of(kind, part, [draws[row] for row in part], device)

"""The tokens that score as the last of the best top_k, beyond a shortlist of best tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from parley_worker.engine.sampler.blocks import members, per_block


@dataclass(frozen=True, slots=True)
class Ties:
    """Which tokens [R, vocab] they are, those on the shortlist left out, and `count` [R, 1]: how many."""

    tokens: Tensor
    count: Tensor

    @classmethod
    def of(cls, logits: Tensor, ids: Tensor, last: Tensor) -> Ties:
        """logits: [R, vocab]. ids: those on the shortlist [R, width]. last: the score in question [R, 1]."""
        tokens = (logits == last).scatter(-1, ids, False)
        return cls(tokens, tokens.sum(dim=-1, keepdim=True))

    def find(self, places: Tensor) -> Tensor:
        """The id of the tie at each place [R, 1], from 0, in the order of ids. Any id where there is none."""
        wanted = places + 1
        ends = per_block(self.tokens, torch.sum).cumsum(dim=-1)
        block = torch.searchsorted(ends, wanted).clamp(max=ends.shape[-1] - 1)
        ids, _ = members(block, self.tokens.shape[-1])  # what fills a short block up comes after all of it
        within = self.tokens.gather(-1, ids).cumsum(dim=-1)
        found = torch.searchsorted(within, wanted - pad(ends, (1, 0)).gather(-1, block))
        return ids.gather(-1, found.clamp(max=ids.shape[-1] - 1))

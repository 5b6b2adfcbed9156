"""What a sampler is told about one token that is to be drawn."""

from __future__ import annotations

from collections.abc import Sequence as Ordered

import msgspec

from parley_worker.scheduler.counts import TokenCounts
from parley_worker.scheduler.request import Sampling


class Draw(msgspec.Struct, frozen=True, gc=False):
    """One token to draw, from one row of scores.

    index: its place in the answer, from 0, what an earlier attempt answered counted in: with the seed it is the whole
    random state. tokens: every id before it; only the first `prompt` of them are the prompt, the rest is the answer so
    far, also an earlier attempt's. Read it before the scheduler's next call, as it may be the scheduler's own list.
    Where the token before is still in flight it is not in `tokens`; no such draw has penalties. counts: of `tokens`
    as far as they were counted, where that is kept from draw to draw.
    """

    sampling: Sampling
    index: int
    tokens: Ordered[int]
    prompt: int
    counts: TokenCounts | None = None

"""A request in flight, as the scheduler knows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from parley_worker.scheduler.counts import TokenCounts
from parley_worker.scheduler.request import Request

NOWHERE = -1


@dataclass(slots=True, eq=False)
class Sequence:
    """What is known and computed of one request. Compared by identity.

    limit: how many tokens it has at most, prompt and answer. prompt: how many of these are the
    prompt, without what an earlier attempt answered. tokens: those it has, always the same list. blocks: those it
    holds, in order of position. digests: the names of its first full blocks. row: its place in the block tables,
    NOWHERE while it waits. computed: the tokens that have their keys and values in the blocks, or will have when the
    steps in flight are done. settled: the same without those in flight. published: its first blocks that are findable,
    or are not to be. drawing: the draws in flight; source: which draw of the latest step was its. cached: tokens that
    it found in the cache before it gave its blocks back for the first time. recomputed: how often it did. counts: of
    its tokens, where its draws need them.
    """

    request: Request
    arrival: int
    limit: int
    prompt: int = field(init=False)
    tokens: list[int] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    row: int = NOWHERE
    computed: int = 0
    settled: int = 0
    published: int = 0
    drawing: int = 0
    source: int = 0
    cached: int = 0
    recomputed: int = 0
    over: bool = False
    counts: TokenCounts | None = field(init=False)

    def __post_init__(self) -> None:
        self.tokens.extend(self.request.token_ids)
        self.prompt = len(self.request.token_ids) - self.request.answered
        self.counts = TokenCounts(self.prompt) if self.request.sampling.has_penalties else None

    @property
    def pending(self) -> int:
        """How many tokens no step has taken yet, those in flight to be drawn included; 1 when it is decoding."""
        return len(self.tokens) + self.drawing - self.computed

    @property
    def answered(self) -> int:
        """The length of the answer as far as it is known, which is also the index of its next token."""
        return len(self.tokens) - self.prompt

    @property
    def has_begun(self) -> bool:
        """Whether this attempt has drawn a token."""
        return len(self.tokens) > len(self.request.token_ids)

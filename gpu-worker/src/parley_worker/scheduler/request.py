"""A request to the engine: token ids in, token ids out."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from parley_worker.core import FinishReason


class Fault(StrEnum):
    """Why the engine gave a request up."""

    NOT_FINITE = "not_finite"
    DEADLINE = "deadline"
    UNFIT = "unfit"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw tokens, every setting decided. temperature 0 is greedy; top_k 0, top_p 1 and min_p 0 are off.

    repetition_penalty counts prompt and answer, as transformers; presence and frequency penalties the answer alone, as
    OpenAI's API. logprobs: how many of the best tokens to tell with each, None for none of it.
    """

    temperature: float
    top_k: int
    top_p: float
    repetition_penalty: float
    seed: int
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logprobs: int | None = None

    @property
    def has_penalties(self) -> bool:
        """Whether a draw depends on which tokens were before it, beyond the scores."""
        return self.repetition_penalty != 1.0 or self.presence_penalty != 0.0 or self.frequency_penalty != 0.0

    @property
    def is_stepwise(self) -> bool:
        """Whether each draw needs a step of its own: it depends on the tokens before it, or its scores are told."""
        return self.has_penalties or self.logprobs is not None


@dataclass(frozen=True, slots=True)
class Request:
    """`token_ids` are the prompt and what an earlier attempt answered, which is its last `answered` tokens.

    max_tokens counts the answer with what was answered before. stop_ids end the answer and are its last token.
    user: whose turn it is, where requests wait; requests without one share a turn. deadline: of time.monotonic().
    id: what its scheduler calls it, whose other requests have others. To an engine its client gives it.
    """

    token_ids: tuple[int, ...]
    answered: int
    max_tokens: int
    stop_ids: frozenset[int]
    sampling: Sampling
    user: str = ""
    deadline: float | None = None
    id: str = field(default="", kw_only=True)


class Drawn(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A token, and on request its log-probability with the best tokens' own, best first."""

    token_id: int
    logprob: float | None = None
    best: tuple[tuple[int, float], ...] = ()


class Output(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One token of a request; with an `error` instead of a token the request is over too.

    drawn: the token again, where its log-probability was asked for. cached_tokens: how many of the request's tokens
    were found in the cache when its computation began.
    """

    id: str
    token_id: int | None
    finish_reason: FinishReason | None = None
    error: str | None = None
    drawn: Drawn | None = None
    cached_tokens: int = 0

    @property
    def last(self) -> bool:
        return self.finish_reason is not None or self.error is not None

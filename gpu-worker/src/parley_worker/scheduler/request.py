"""A request to the engine: token ids in, token ids out."""

from __future__ import annotations

from dataclasses import dataclass, field

from parley_worker.core import FinishReason


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw tokens, every setting decided. temperature 0 is greedy; top_k 0 and top_p 1 are off."""

    temperature: float
    top_k: int
    top_p: float
    repetition_penalty: float
    seed: int


@dataclass(frozen=True, slots=True)
class Request:
    """`token_ids` are the prompt and what an earlier attempt answered, which is its last `answered` tokens.

    max_tokens counts the answer with what was answered before. stop_ids end the answer and are its last token.
    """

    id: str
    token_ids: tuple[int, ...]
    answered: int
    max_tokens: int
    stop_ids: frozenset[int]
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Output:
    """One token of a request; with an `error` instead of a token the request is over too."""

    id: str
    token_id: int | None
    finish_reason: FinishReason | None = None
    error: str | None = None

    @property
    def last(self) -> bool:
        return self.finish_reason is not None or self.error is not None


@dataclass(slots=True)
class Sequence:
    """A request in flight. The first `computed` tokens have their keys and values in the cache.

    proven: the scores that followed from all of these were finite.
    """

    request: Request
    arrival: int
    tokens: list[int] = field(default_factory=list)
    computed: int = 0
    proven: bool = False

    def __post_init__(self) -> None:
        self.tokens.extend(self.request.token_ids)

    @property
    def pending(self) -> int:
        """How many tokens the model has not seen; 1 when the sequence is decoding."""
        return len(self.tokens) - self.computed

    @property
    def answered(self) -> int:
        """The length of the answer, which is also the index of its next token."""
        return len(self.tokens) - len(self.request.token_ids) + self.request.answered

"""Generations and what they came to, in the schema."""

from __future__ import annotations

from datetime import datetime
from typing import Self

import strawberry

from parley_gateway.entrypoints.graphql.arguments import given
from parley_gateway.entrypoints.graphql.enums import FinishReason, GenerationState, finish_reason_of, state_of
from parley_gateway.entrypoints.graphql.instants import to_datetime
from parley_gateway.entrypoints.graphql.users import Node
from parley_proto.conversation.v1 import types_pb2


@strawberry.type
class Usage:
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int

    @classmethod
    def of(cls, generation: types_pb2.Generation) -> Self | None:
        """None while there is none."""
        if not generation.HasField("usage"):
            return None
        usage = generation.usage
        return cls(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
        )


@strawberry.type
class UserError:
    code: str
    message: str


@strawberry.type
class Generation(Node):
    state: GenerationState
    attempt: int
    model: str
    created_at: datetime
    finished_at: datetime | None
    finish_reason: FinishReason | None
    usage: Usage | None

    @classmethod
    def of(cls, generation: types_pb2.Generation) -> Self:
        finished = generation.HasField("finished_at")
        return cls(
            id=strawberry.ID(generation.id),
            state=state_of(generation.state),
            attempt=generation.attempt,
            model=generation.model,
            created_at=to_datetime(generation.created_at),
            finished_at=to_datetime(generation.finished_at) if finished else None,
            finish_reason=finish_reason_of(generation.finish_reason),
            usage=Usage.of(generation),
        )


@strawberry.input(description="maxTokens >= 1; temperature 0..2; topP 0..1; topK >= 0 (0: off); stop: up to 8 strings.")
class GenerationParameters:
    max_tokens: int | None = strawberry.UNSET
    temperature: float | None = strawberry.UNSET
    top_p: float | None = strawberry.UNSET
    top_k: int | None = strawberry.UNSET
    seed: int | None = strawberry.UNSET
    stop: list[str] | None = strawberry.UNSET

    def to_proto(self) -> types_pb2.GenerationParameters:
        """What is null or left out is the model's own default."""
        return types_pb2.GenerationParameters(
            max_tokens=given(self.max_tokens),
            temperature=given(self.temperature),
            top_p=given(self.top_p),
            top_k=given(self.top_k),
            seed=given(self.seed),
            stop=given(self.stop),
        )

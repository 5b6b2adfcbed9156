"""The subscription, and its events in the schema."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Self, TypeAlias

import strawberry

from parley_gateway.answers.events import Event, Finished, Restarted, Text
from parley_gateway.answers.reader import AnswerReader
from parley_gateway.answers.source import AnswerSource
from parley_gateway.entrypoints.graphql.arguments import given
from parley_gateway.entrypoints.graphql.context import Info
from parley_gateway.entrypoints.graphql.described import described
from parley_gateway.entrypoints.graphql.enums import FinishReason, GenerationState, finish_reason_of, state_of
from parley_gateway.entrypoints.graphql.generations import Usage, UserError
from parley_gateway.entrypoints.graphql.messages import Message
from parley_kit.errors import BadInput
from parley_kit.ids import parse_id
from parley_proto.conversation.v1 import types_pb2


@strawberry.type(
    description=(
        "offset: Unicode code points of the answer before this text; "
        "the first delta starts exactly at `after`. Never empty."
    )
)
class TokenDelta:
    offset: int
    text: str
    attempt: int


@strawberry.type(description="Forget the text held: it starts again at 0.")
class GenerationRestarted:
    attempt: int


@strawberry.type(
    description=(
        "The same for every reader, now or later. message: what was stored, null when nothing was generated. "
        "error: when FAILED or EXPIRED."
    )
)
class GenerationFinished:
    state: GenerationState
    finish_reason: FinishReason | None
    message: Message | None
    usage: Usage | None
    error: UserError | None

    @classmethod
    def of(cls, finished: Finished) -> Self:
        generation = finished.generation
        return cls(
            state=state_of(generation.state),
            finish_reason=finish_reason_of(generation.finish_reason),
            message=None if finished.message is None else Message.of(finished.message),
            usage=Usage.of(generation),
            error=_error_of(generation),
        )


GenerationEvent: TypeAlias = Annotated[
    TokenDelta | GenerationRestarted | GenerationFinished, strawberry.union("GenerationEvent")
]


@strawberry.type
class Subscription:
    @described(
        strawberry.subscription,
        (
            "The answer from code point `after` on, ending in exactly one GenerationFinished, then complete. "
            "`attempt` is that of the last delta held:\n"
            "if the text began anew since (or `attempt` is not given, `after` > 0 and it ever began anew), "
            "GenerationRestarted comes first and the\n"
            "text starts at 0. A finished generation can be subscribed to any number of times."
        ),
    )
    async def generation(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002 - the schema's name
        after: int | None = 0,
        attempt: int | None = strawberry.UNSET,
    ) -> AsyncGenerator[GenerationEvent, None]:
        here = info.context
        await here.caller.principal()
        start, held = after or 0, given(attempt)
        if start < 0:
            raise BadInput("after must not be negative", "after")
        if held is not None and held < 0:
            raise BadInput("attempt must not be negative", "attempt")
        source = AnswerSource(here.backends, here.caller)
        generation = await source.generation(parse_id(id))
        return _translated(AnswerReader(source, here.streams, here.clock).read(generation, start, held))


async def _translated(events: AsyncGenerator[Event, None]) -> AsyncGenerator[GenerationEvent, None]:
    async with aclosing(events):
        async for event in events:
            match event:
                case Text(offset, text, attempt):
                    yield TokenDelta(offset=offset, text=text, attempt=attempt)
                case Restarted(attempt):
                    yield GenerationRestarted(attempt=attempt)
                case Finished():
                    yield GenerationFinished.of(event)


def _error_of(generation: types_pb2.Generation) -> UserError | None:
    if generation.HasField("failure"):
        return UserError(code=generation.failure.code, message=generation.failure.message)
    if generation.state == types_pb2.GENERATION_STATE_EXPIRED:
        return UserError(code="DEADLINE_EXCEEDED", message="the answer took too long")
    if generation.state == types_pb2.GENERATION_STATE_FAILED:
        return UserError(code="INTERNAL", message="the answer could not be generated")
    return None

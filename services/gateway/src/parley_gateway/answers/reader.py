"""Reads one answer for one subscriber."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeVar

from parley_gateway.answers.cursor import Cursor, Gap, joined
from parley_gateway.answers.events import Event, Finished
from parley_gateway.answers.source import AnswerSource
from parley_kit.clock import Clock
from parley_kit.errors import DeadlineExceeded, ParleyError, Retryable
from parley_kit.logs import get_logger
from parley_live.base import Delta, End, Entry, TokenStreams
from parley_proto.conversation.v1 import types_pb2

log = get_logger(__name__)

T = TypeVar("T")

SILENCE_SECONDS = 2.0
PATIENCE_SECONDS = 30.0

_UNFINISHED = (types_pb2.GENERATION_STATE_QUEUED, types_pb2.GENERATION_STATE_RUNNING)


class AnswerReader:
    """Every code point from `after` on, once and in order, or an explicit restart, then one Finished.

    The stream is read at the reader's pace and from its start, so nothing can be missed. When it says nothing for two
    seconds, is gone or is away, the owner of the generation is asked: what is finished there is finished here, and
    what the stream could not bring comes from the stored message.
    """

    def __init__(self, source: AnswerSource, streams: TokenStreams, clock: Clock) -> None:
        self._source = source
        self._streams = streams
        self._clock = clock

    async def read(self, generation: types_pb2.Generation, after: int, held: int | None) -> AsyncGenerator[Event, None]:
        """The events of `generation`, as it was when the caller was authorized for it.

        Raises NotFound once it is deleted; Unavailable when its owner has been away for 30 s, DeadlineExceeded when it
        has been hanging for as long.
        """
        cursor = Cursor(after, held)
        position: str | None = None
        while generation.state in _UNFINISHED:
            entries = await self._entries(generation.id, position)
            try:
                for piece in joined([entry.value for entry in entries if isinstance(entry.value, Delta)]):
                    for news in cursor.take(piece):
                        yield news
            except Gap:  # what was lost, and all that follows it, comes from the stored message
                log.warning("answer_stream_gap", generation=generation.id)
            if entries:
                position = entries[-1].position
            if not entries or isinstance(entries[-1].value, End):
                generation = await self._ask(self._source.generation, generation.id)
        async for event in self._ending(generation, cursor):
            yield event

    async def _ending(self, generation: types_pb2.Generation, cursor: Cursor) -> AsyncGenerator[Event, None]:
        if not generation.HasField("message_id"):
            for restart in cursor.drop(generation.attempt):  # it was lost with the stream, and nobody had stored it
                yield restart
            yield Finished(generation, None)
            return
        message = await self._ask(self._source.message, generation.message_id)
        began = generation.began_attempt or cursor.began or generation.attempt
        for news in cursor.take(Delta(generation.attempt, began, 0, message.content)):
            yield news
        yield Finished(generation, message)

    async def _entries(self, generation_id: str, position: str | None) -> Sequence[Entry]:
        try:
            return await self._streams.read(generation_id, position, SILENCE_SECONDS)
        except Retryable as error:
            log.warning("answer_stream_away", generation=generation_id, error=error.message)
            return await self._silence()

    async def _silence(self) -> Sequence[Entry]:
        await self._clock.sleep(SILENCE_SECONDS)
        return ()

    async def _ask(self, question: Callable[[str], Awaitable[T]], key: str) -> T:
        give_up = self._clock.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return await question(key)
            except (Retryable, DeadlineExceeded) as error:
                await self._wait_for_owner(error, give_up)

    async def _wait_for_owner(self, error: ParleyError, give_up: float) -> None:
        if self._clock.monotonic() >= give_up:
            raise error
        await self._clock.sleep(1.0)

"""One claimed generation, from the fence to the terminal event."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace

from parley_kit.clock import Clock
from parley_kit.errors import BadInput, DeadlineExceeded, Internal, Unavailable
from parley_kit.logs import get_logger
from parley_live.base import Fenced, TokenStreams
from parley_proto.events.v1.events_pb2 import InferenceRequested
from parley_worker import metrics
from parley_worker.assignments import Assignment, Stop
from parley_worker.backends.base import Backend
from parley_worker.core import Chunk, FinishReason, Prefix, Usage
from parley_worker.endings import (
    BROKEN,
    EXPIRED,
    Answer,
    Cancelled,
    Completed,
    Dropped,
    Ending,
    Failed,
    Final,
    GivenBack,
)
from parley_worker.meter import Meter
from parley_worker.ports import Lease
from parley_worker.requests import to_job
from parley_worker.tasks import running
from parley_worker.transcript import Transcript
from parley_worker.writer import RETRY_SECONDS, StreamWriter
from parley_worker.writes import Writes

log = get_logger(__name__)

FLUSH_SECONDS = 2.0
"""How long the end of an answer waits for a stream that cannot be written. The terminal event has the text anyway."""

_STOPPED: dict[Stop, Ending] = {
    Stop.CANCELLED: Cancelled(),
    Stop.LOST: Dropped(),
    Stop.HANDED_BACK: GivenBack(),
}


class Attempt:
    """Makes the answer and streams it until the model ends, somebody stops it, or the deadline comes."""

    def __init__(
        self,
        request: InferenceRequested,
        assignment: Assignment,
        lease: Lease,
        backend: Backend,
        streams: TokenStreams,
        writes: Writes,
        clock: Clock,
    ) -> None:
        self._request = request
        self._assignment = assignment
        self._lease = lease
        self._backend = backend
        self._streams = streams
        self._clock = clock
        self._meter = Meter(backend.model.name, clock)
        self._prefix: Prefix | None = None
        self._usage: Usage | None = None
        self._transcript = Transcript(lease.attempt)
        self._writer = StreamWriter(writes, lease.generation_id, self._transcript, self._holds)

    @property
    def answer(self) -> Answer:
        """What there is of it, as the terminal event tells it."""
        return Answer(
            self._lease.generation_id,
            self._request.conversation_id,
            self._lease.attempt,
            self._transcript.began,
            self._transcript.text,
            self._usage and replace(self._usage, completion_tokens=self._tokens),
        )

    @property
    def _tokens(self) -> int:
        """Of the whole answer so far. A backend that knows no token ids counts them all the same."""
        return max(self._transcript.tokens, self._usage.completion_tokens if self._usage else 0)

    async def run(self) -> Ending:
        """How it ended. The backend's slot is free again, and the stream holds what was made, if it can be written."""
        async with running(self._writer.run(), "stream writer") as writing:
            ending = await self._race(writing)
            self._meter.end(self._lease.attempt, self._transcript.began)
            return await self._flush(ending, writing)

    async def _race(self, writing: asyncio.Task[None]) -> Ending:
        async with (
            running(self._generate(), "generate") as making,
            running(self._assignment.stopped(), "stopped") as stopped,
            running(self._clock.sleep(self._lease.deadline - self._clock.monotonic()), "deadline") as late,
        ):
            await asyncio.wait({making, stopped, late, writing}, return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                return GivenBack()  # `_flush` sees why it ended
            if making.done():
                error = making.exception()
                return self._explain(error) if error else Completed(making.result())
            return _STOPPED[stopped.result()] if stopped.done() else EXPIRED

    async def _generate(self) -> FinishReason:
        prefix = await self._open()
        try:
            return await self._answer_after(prefix)
        except BadInput as error:
            if error.field != "resume":
                raise
            self._transcript.restart()  # of another version of the model: readers are told that it starts again
            return await self._answer_after(Prefix())

    async def _answer_after(self, prefix: Prefix) -> FinishReason:
        job = to_job(self._request, prefix, self._lease.deadline)
        async with aclosing(self._backend.generate(job)) as chunks:
            async for chunk in chunks:
                self._add(chunk)
                if chunk.finish_reason is not None:
                    return chunk.finish_reason
        raise Internal("the backend ended without a finish reason")

    async def _open(self) -> Prefix:
        """Become the only writer, and learn what readers already hold. Waits while the store is away."""
        while self._prefix is None:
            try:
                streamed = await self._streams.raise_fence(self._lease.generation_id, self._lease.attempt)
                self._prefix = self._transcript.resume(streamed or ())
            except Unavailable as error:
                log.warning("stream_unavailable", generation_id=self._lease.generation_id, error=error.message)
                await asyncio.sleep(RETRY_SECONDS)
        return self._prefix

    def _add(self, chunk: Chunk) -> None:
        self._meter.add(chunk)
        self._usage = chunk.usage or self._usage
        self._transcript.add(chunk.text, chunk.token_ids)
        self._writer.wake()

    async def _flush(self, ending: Ending, writing: asyncio.Task[None]) -> Ending:
        """Write the rest. Another ending when the writing failed: the stream is somebody else's, or lost."""
        if isinstance(ending, Dropped):
            return ending
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                if isinstance(ending, Final):
                    await self._open()  # stopped before: what earlier attempts streamed is part of the answer
                self._writer.close()
                await asyncio.wait({writing})
        except TimeoutError:
            log.warning("stream_unfinished", generation_id=self._lease.generation_id)
            return ending
        except Fenced as error:
            return self._explain(error)
        failure = writing.exception()
        return self._explain(failure) if failure else ending

    def _holds(self) -> bool:
        return self._assignment.holds(self._clock.monotonic())

    def _explain(self, error: BaseException | None) -> Ending:
        match error:
            case Fenced():
                metrics.FENCED.labels(self._backend.model.name).inc()
                return GivenBack()  # harmless when a newer attempt has it; if the stream was lost, one begins at once
            case Unavailable():
                return GivenBack()
            case DeadlineExceeded():
                return EXPIRED
            case BadInput():
                return Failed(error.code, error.message)
        log.error("attempt_failed", generation_id=self._lease.generation_id, exc_info=error)
        return BROKEN

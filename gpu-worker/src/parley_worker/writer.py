"""Writes an answer to its stream as it grows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from parley_kit.errors import Unavailable
from parley_kit.logs import get_logger
from parley_live.base import Delta, Fenced
from parley_worker.transcript import Transcript
from parley_worker.writes import Writes

log = get_logger(__name__)

COALESCE_SECONDS = 0.03
RETRY_SECONDS = 0.2


class StreamWriter:
    """The first text goes out at once, later ones at most every 30 ms, joined.

    While the store is away the answer goes on, and the write is tried again with the same delta: if it had arrived
    after all, readers know the second by its offset. No task wakes for a write: a step of the model makes many answers
    longer, and one task writes to all of their streams.
    """

    def __init__(self, writes: Writes, generation_id: str, transcript: Transcript, allowed: Callable[[], bool]) -> None:
        self.generation_id = generation_id
        self._writes = writes
        self._transcript = transcript
        self._allowed = allowed
        self._loop = asyncio.get_running_loop()
        self._due = 0.0
        self._delta: Delta | None = None
        self._busy = False  # with a delta that is under way, asked for, or due at some time
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._over = asyncio.Event()
        self._error: Exception | None = None

    def wake(self) -> None:
        """There is something new in the transcript."""
        if self._busy:
            return
        self._busy = True
        if self._closed or self._loop.time() >= self._due:
            self._writes.join(self)
        else:
            self._timer = self._loop.call_at(self._due, self._join)

    def close(self) -> None:
        """Nothing new comes: `run` ends once all is written."""
        self._closed = True
        if self._delta is None and self._timer is not None:  # it waits to be joined with what would come
            self._timer.cancel()
            self._busy = False
        self.wake()

    async def run(self) -> None:
        """Until closed and written. Raises Fenced when the stream is somebody else's, or the lease not ours any more,
        and whatever else than Unavailable an append may raise.

        No write is begun after it has ended. One that is under way then may still arrive: the fence judges it.
        """
        try:
            await self._over.wait()
        finally:
            self._over.set()
            if self._timer is not None:
                self._timer.cancel()
        if self._error is not None:
            raise self._error

    def take(self) -> Delta | None:
        """See `Writer.take`."""
        if self._over.is_set():
            return None
        self._delta = self._delta or self._transcript.take()
        if self._delta is None:
            self._rest()
        elif not self._allowed():
            self._end(Fenced())
            return None
        return self._delta

    def wrote(self, error: Exception | None) -> None:
        """See `Writer.wrote`."""
        if isinstance(error, Unavailable):
            log.warning("stream_unavailable", generation_id=self.generation_id, error=error.message)
            self._timer = self._loop.call_later(RETRY_SECONDS, self._join)
        elif error is not None:
            self._end(error)
        else:
            self._delta = None
            self._due = self._loop.time() + COALESCE_SECONDS
            self._rest()

    def _join(self) -> None:
        self._timer = None
        self._writes.join(self)

    def _rest(self) -> None:
        """Nothing is under way."""
        self._busy = False
        if self._transcript.waits:
            self.wake()
        elif self._closed:
            self._end(None)

    def _end(self, error: Exception | None) -> None:
        self._error = error
        self._over.set()

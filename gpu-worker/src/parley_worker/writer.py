"""Writes an answer to its stream as it grows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from parley_kit.errors import Unavailable
from parley_kit.logs import get_logger
from parley_live.base import Delta, Fenced, TokenStreams
from parley_worker.transcript import Transcript

log = get_logger(__name__)

COALESCE_SECONDS = 0.03
RETRY_SECONDS = 0.2


class StreamWriter:
    """The first text goes out at once, later ones at most every 30 ms, joined.

    While the store is away the answer goes on, and the write is tried again with the same delta: if it had arrived
    after all, readers know the second by its offset.
    """

    def __init__(
        self, streams: TokenStreams, generation_id: str, transcript: Transcript, allowed: Callable[[], bool]
    ) -> None:
        self._streams = streams
        self._generation_id = generation_id
        self._transcript = transcript
        self._allowed = allowed
        self._wake = asyncio.Event()
        self._closed = asyncio.Event()

    def wake(self) -> None:
        """There is something new in the transcript."""
        self._wake.set()

    def close(self) -> None:
        """Nothing new comes: `run` ends once all is written."""
        self._closed.set()
        self._wake.set()

    async def run(self) -> None:
        """Write until closed. Raises Fenced when the stream is somebody else's, or the lease is not ours any more."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self._wake.wait()
            await self._until_closed(due)
            self._wake.clear()
            closed = self._closed.is_set()  # before the look: what was added until then is seen by it
            if (delta := self._transcript.take()) is not None:
                await self._write(delta)
                due = loop.time() + COALESCE_SECONDS
            if closed:
                return

    async def _until_closed(self, due: float) -> None:
        """Or `due`. Not a timer for each write: of a model slower than these, every token's text is due as it comes."""
        if asyncio.get_running_loop().time() < due:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._closed.wait()

    async def _write(self, delta: Delta) -> None:
        while True:
            if not self._allowed():
                raise Fenced
            try:
                return await self._streams.append(self._generation_id, [delta])
            except Unavailable as error:
                log.warning("stream_unavailable", generation_id=self._generation_id, error=error.message)
                await asyncio.sleep(RETRY_SECONDS)

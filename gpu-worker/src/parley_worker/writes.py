"""Joins what several answers have to write at one moment: after a step of a model, all of those that it made longer."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Protocol

from parley_kit.logs import get_logger
from parley_live.base import Delta, TokenStreams

log = get_logger(__name__)

MOST = 64
"""Streams written together: the store does nothing else meanwhile."""


class Writer(Protocol):
    """Writes one stream. It has at most one delta under way, and joins again for the next."""

    @property
    def generation_id(self) -> str: ...

    def take(self) -> Delta | None:
        """What it has to write now, if anything."""
        ...

    def wrote(self, error: Exception | None) -> None:
        """What became of the delta that was taken: the error is one of `TokenStreams.append`, or a fault of ours."""
        ...


class Writes:
    """One append for all that joined in a turn of the event loop and go to the same place, or as many as are allowed.

    A place that is slow, or away, keeps nobody else waiting; nor do writes wait for those before them. Each has its end
    within the patience of the store, whether or not its writer still wants to know.
    """

    def __init__(self, streams: TokenStreams) -> None:
        self._streams = streams
        self._joined: list[Writer] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def join(self, writer: Writer) -> None:
        """Be asked for a delta in the next turn of the loop."""
        if not self._joined:
            asyncio.get_running_loop().call_soon(self._begin)
        self._joined.append(writer)

    def _begin(self) -> None:
        joined, self._joined = self._joined, []
        places: defaultdict[str, dict[Writer, Delta]] = defaultdict(dict)
        for writer in joined:
            try:
                if (delta := writer.take()) is not None:
                    places[self._streams.place(writer.generation_id)][writer] = delta
            except Exception as error:  # a fault of ours: it is his alone
                log.exception("stream_write_failed", generation_id=writer.generation_id)
                writer.wrote(error)
        for deltas in places.values():
            every = list(deltas.items())
            for first in range(0, len(every), MOST):
                task = asyncio.create_task(self._write(dict(every[first : first + MOST])), name="stream writes")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _write(self, deltas: Mapping[Writer, Delta]) -> None:
        appends = {writer.generation_id: (delta,) for writer, delta in deltas.items()}
        try:
            failed = await self._streams.append_all(appends)
        except Exception as error:  # a fault of ours: whoever meets it alone would wait for ever
            if len(deltas) > 1:
                for writer, delta in deltas.items():
                    await self._write({writer: delta})
                return
            log.exception("stream_write_failed", generation_id=next(iter(appends)))
            failed = dict.fromkeys(appends, error)
        for writer in deltas:
            writer.wrote(failed.get(writer.generation_id))

"""Token streams."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress

from parley_kit.clock import Clock
from parley_kit.errors import BadInput, ParleyError
from parley_live.base import Delta, End, Entry, Fenced, check_deltas
from parley_live.memory.expiry import ExpiringMap
from parley_live.memory.wakeups import Wakeups

_POSITION = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")


class _Stream:
    """`born` orders the streams that a generation may have, one after the loss of another; positions begin with it."""

    def __init__(self, born: int, attempt: int) -> None:
        self.born = born
        self.attempt = attempt
        self.ended = False
        self.values: list[Delta | End] = []
        self._began = 0
        self._written = (0, 0)  # code points of the text that `attempt` has written: from, to

    def take_over(self, attempt: int) -> None:
        if attempt > self.attempt:
            self.attempt = attempt
            self._written = (self._written[1], self._written[1])

    def add(self, deltas: Sequence[Delta]) -> None:
        """Without what this attempt has written before."""
        for delta in deltas:
            if delta.began != self._began:
                self._began, self._written = delta.began, (delta.offset, delta.offset)
            (start, stop), end = self._written, delta.offset + len(delta.text)
            if delta.offset < start or end > stop:
                self.values.append(delta)
                self._written = (start, end)

    def after(self, position: str | None, most: int) -> list[Entry]:
        born, index = _parse(position)
        first = index if born == self.born else 0
        values = self.values[first : first + most]
        return [Entry(f"{self.born}-{index}", value) for index, value in enumerate(values, first + 1)]


class MemoryTokenStreams:
    """Each method is atomic up to its waiting: there is no await inside."""

    def __init__(self, clock: Clock, retention: float, lifetime: float) -> None:
        self._now = clock.now
        self._retention = retention
        self._lifetime = lifetime
        self._streams: ExpiringMap[_Stream] = ExpiringMap(clock)
        self._readers = Wakeups()
        self._last_born = 0

    async def raise_fence(self, generation_id: str, attempt: int) -> Sequence[Delta] | None:
        stream = self._streams.get(generation_id)
        if stream is None:
            self._streams.put(generation_id, _Stream(self._born(), attempt), self._lifetime)
            return None
        if stream.ended or attempt < stream.attempt:
            raise Fenced
        stream.take_over(attempt)
        self._streams.put(generation_id, stream, self._lifetime)
        return [value for value in stream.values if isinstance(value, Delta)]

    async def append(self, generation_id: str, deltas: Sequence[Delta]) -> None:
        if not deltas:
            return
        check_deltas(deltas)
        stream = self._streams.get(generation_id)
        if stream is None or stream.ended or deltas[0].attempt != stream.attempt:
            raise Fenced
        stream.add(deltas)
        self._wrote(generation_id, stream, self._lifetime)

    async def append_all(self, appends: Mapping[str, Sequence[Delta]]) -> Mapping[str, Exception]:
        failed: dict[str, Exception] = {}
        for generation_id, deltas in appends.items():
            try:  # by `append`, so that who extends this has one method to look after
                await self.append(generation_id, deltas)
            except (Fenced, ParleyError) as error:
                failed[generation_id] = error
        return failed

    def place(self, generation_id: str) -> str:
        return "memory"

    async def end(self, generation_id: str) -> None:
        stream = self._streams.get(generation_id) or _Stream(self._born(), attempt=0)
        if not stream.ended:
            stream.ended = True
            stream.values.append(End())
            self._wrote(generation_id, stream, self._retention)

    async def read(self, generation_id: str, position: str | None, timeout: float, most: int = 256) -> Sequence[Entry]:
        _parse(position)
        if most < 1:
            raise BadInput("most must be at least 1", field="most")
        await asyncio.sleep(0)  # a reader far behind must not keep the loop to itself
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not (entries := self._after(generation_id, position, most)):
                    await self._readers.wait(generation_id)
                return entries
        return []

    def _wrote(self, generation_id: str, stream: _Stream, seconds: float) -> None:
        self._streams.put(generation_id, stream, seconds)
        self._readers.notify(generation_id)

    def _after(self, generation_id: str, position: str | None, most: int) -> list[Entry]:
        stream = self._streams.get(generation_id)
        return [] if stream is None else stream.after(position, most)

    def _born(self) -> int:
        # From the wall clock, so that it also grows across restarts: readers may come back with an old position.
        self._last_born = max(self._last_born + 1, int(self._now().timestamp() * 1e6))
        return self._last_born


def _parse(position: str | None) -> tuple[int, int]:
    if position is None:
        return 0, 0
    if not _POSITION.fullmatch(position):
        raise BadInput("not a position of a stream", field="position")
    born, index = position.split("-")
    return int(born), int(index)

"""What the contract tests share: fixtures, times, and reading a stream as a subscriber does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import ClassVar, TypeAlias
from uuid import uuid4

import pytest

from parley_live.base import Delta, End, Entry, TokenStreams

Advance: TypeAlias = Callable[[float], Awaitable[None]]
"""Lets that many seconds pass: by the manual clock, or, where the store has its own, by waiting."""


class LiveHarness:
    """A subclass gives the fixtures `live` and `advance`, and the times with which its adapter was made.

    An adapter on a manual clock uses long times; one whose store keeps time uses times as short as are reliable.
    """

    retention: ClassVar[float] = 300.0
    """Seconds that an ended stream lives."""
    lifetime: ClassVar[float] = 3600.0
    """Seconds that a stream lives after its last write."""
    window: ClassVar[float] = 60.0
    """Seconds of the rates in these tests, and of the revocations."""
    patience: ClassVar[float] = 20.0
    """Seconds in which what must come comes."""
    quiet: ClassVar[float] = 0.05
    """Seconds after which what has not come is taken not to come."""

    @pytest.fixture
    def generation(self) -> str:
        return uuid4().hex

    async def read_all(self, streams: TokenStreams, generation: str, position: str | None = None) -> list[Entry]:
        """Entries up to the terminal one."""
        entries: list[Entry] = []
        async with asyncio.timeout(self.patience):
            while not entries or not isinstance(entries[-1].value, End):
                after = entries[-1].position if entries else position
                entries += await streams.read(generation, after, self.patience)
        return entries

    async def assert_empty(self, streams: TokenStreams, generation: str, position: str | None = None) -> None:
        assert list(await streams.read(generation, position, self.quiet)) == []


def deltas(texts: Sequence[str], attempt: int = 1, began: int = 1, offset: int = 0) -> list[Delta]:
    """Deltas that follow each other from `offset` on; token i of a text is its code point."""
    made: list[Delta] = []
    for text in texts:
        made.append(Delta(attempt, began, offset, text, tuple(map(ord, text))))
        offset += len(text)
    return made


def values(entries: Iterable[Entry]) -> list[Delta | End]:
    return [entry.value for entry in entries]

"""The stream is written at once, then in joined pieces, and in spite of a store that is away for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from parley_kit.clock import SystemClock
from parley_kit.errors import Unavailable
from parley_live.base import Delta, Fenced
from parley_live.memory import MemoryLive
from parley_worker.tasks import running
from parley_worker.transcript import Transcript
from parley_worker.writer import StreamWriter
from parley_worker.writes import Writes

ID = "generation"


class FlakyLive(MemoryLive):
    """Loses the answers to some writes: `before` of them do not arrive, then `after` of them do all the same."""

    def __init__(self, before: int = 0, after: int = 0) -> None:
        super().__init__(SystemClock())
        self.before = before
        self.after = after

    async def append(self, generation_id: str, deltas: Sequence[Delta]) -> None:
        if self.before:
            self.before -= 1
            raise Unavailable("away")
        await super().append(generation_id, deltas)
        if self.after:
            self.after -= 1
            raise Unavailable("away")


@pytest.fixture
async def live() -> FlakyLive:
    live = FlakyLive()
    await live.raise_fence(ID, 1)
    return live


async def streamed(live: MemoryLive, count: int) -> list[Delta]:
    """At least `count` deltas."""
    values: list[Delta] = []
    position = None
    while len(values) < count:
        for entry in await live.read(ID, position, timeout=10):
            position = entry.position
            assert isinstance(entry.value, Delta)
            values.append(entry.value)
    return values


async def test_the_end_is_written_without_a_wait(live: FlakyLive) -> None:
    transcript = Transcript(1)
    writer = StreamWriter(Writes(live), ID, transcript, lambda: True)
    async with running(writer.run(), "writer") as task:
        transcript.add("first ", [1])
        writer.wake()
        await streamed(live, 1)
        for token in range(2, 5):
            transcript.add(f"{token} ", [token])
            writer.wake()
        writer.close()
        await asyncio.wait_for(task, 10)
    assert [delta.text for delta in await streamed(live, 2)] == ["first ", "2 3 4 "]


async def test_what_comes_soon_after_a_write_is_joined(live: FlakyLive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parley_worker.writer.COALESCE_SECONDS", 600.0)
    transcript = Transcript(1)
    writer = StreamWriter(Writes(live), ID, transcript, lambda: True)
    async with running(writer.run(), "writer") as task:
        for token, text in enumerate(("first ", "second ", "third ")):
            transcript.add(text, [token])
            writer.wake()
            await streamed(live, 1)
            for _ in range(5):  # turns of the loop in which it could be written
                await asyncio.sleep(0)
        writer.close()
        await asyncio.wait_for(task, 10)
    assert [delta.text for delta in await streamed(live, 2)] == ["first ", "second third "]


@pytest.mark.parametrize(("before", "after"), [(1, 0), (0, 1), (1, 1)])
async def test_a_store_that_is_away_for_a_while_leaves_no_gap(live: FlakyLive, before: int, after: int) -> None:
    live.before, live.after = before, after
    transcript = Transcript(1)
    writer = StreamWriter(Writes(live), ID, transcript, lambda: True)
    async with running(writer.run(), "writer") as task:
        transcript.add("first ", [1])
        writer.wake()
        await streamed(live, 1)
        transcript.add("second", [2])
        writer.close()
        await asyncio.wait_for(task, 10)
    deltas = await streamed(live, 2)
    assert Transcript(2).resume(deltas).text == "first second"


async def test_a_newer_attempt_ends_the_writing(live: FlakyLive) -> None:
    transcript = Transcript(1)
    writer = StreamWriter(Writes(live), ID, transcript, lambda: True)
    await live.raise_fence(ID, 2)
    transcript.add("late", [1])
    writer.wake()
    with pytest.raises(Fenced):
        await asyncio.wait_for(writer.run(), 10)


async def test_a_lease_that_is_lost_while_the_store_is_away_ends_the_writing(live: FlakyLive) -> None:
    live.before = 1
    transcript, answers = Transcript(1), iter((True, False))
    writer = StreamWriter(Writes(live), ID, transcript, lambda: next(answers))
    transcript.add("late", [1])
    writer.wake()
    with pytest.raises(Fenced):
        await asyncio.wait_for(writer.run(), 10)
    assert await live.read(ID, None, timeout=0) == []


async def test_without_a_lease_nothing_is_written(live: FlakyLive) -> None:
    transcript = Transcript(1)
    writer = StreamWriter(Writes(live), ID, transcript, lambda: False)
    transcript.add("late", [1])
    writer.wake()
    with pytest.raises(Fenced):
        await asyncio.wait_for(writer.run(), 10)
    assert await live.read(ID, None, timeout=0) == []

"""What several answers have to write at one moment goes out together, and none waits for another."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

import pytest

from parley_kit.clock import SystemClock
from parley_live.base import Delta
from parley_live.memory import MemoryLive
from parley_worker.tasks import running
from parley_worker.transcript import Transcript
from parley_worker.writer import StreamWriter
from parley_worker.writes import MOST, Writes


class WatchedLive(MemoryLive):
    """Remembers who was written together. The place of an id is its first letter; `away` holds up one place."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.together: list[list[str]] = []
        self.away, self.begun, self.back = "", asyncio.Event(), asyncio.Event()

    async def append_all(self, appends: Mapping[str, Sequence[Delta]]) -> Mapping[str, Exception]:
        self.together.append(list(appends))
        self.begun.set()
        if self.place(next(iter(appends))) == self.away:
            await self.back.wait()
        return await super().append_all(appends)

    def place(self, generation_id: str) -> str:
        return generation_id[0]


class BrokenLive(MemoryLive):
    async def append_all(self, appends: Mapping[str, Sequence[Delta]]) -> Mapping[str, Exception]:
        raise RuntimeError("a fault")


async def text(live: MemoryLive, generation_id: str) -> str:
    """What the stream holds, but at least one delta."""
    entries = await live.read(generation_id, None, timeout=10)
    return "".join(entry.value.text for entry in entries if isinstance(entry.value, Delta))


async def opened(live: MemoryLive, names: Sequence[str]) -> tuple[list[Transcript], list[StreamWriter]]:
    writes = Writes(live)
    for name in names:
        await live.raise_fence(name, 1)
    transcripts = [Transcript(1) for _ in names]
    pairs = zip(names, transcripts, strict=True)
    return transcripts, [StreamWriter(writes, name, transcript, lambda: True) for name, transcript in pairs]


def say(transcripts: Sequence[Transcript], writers: Sequence[StreamWriter], text: str) -> None:
    for transcript, writer in zip(transcripts, writers, strict=True):
        transcript.add(text, [1])
        writer.wake()


async def test_what_comes_in_one_turn_is_written_at_once() -> None:
    live, names = WatchedLive(), [f"a{number}" for number in range(3)]
    transcripts, writers = await opened(live, names)
    say(transcripts, writers, "first ")
    assert [await text(live, name) for name in names] == ["first "] * 3
    assert live.together == [names]


async def test_at_most_so_many_hold_up_the_store_at_once() -> None:
    live, names = WatchedLive(), [f"a{number}" for number in range(MOST + 1)]
    transcripts, writers = await opened(live, names)
    say(transcripts, writers, "first ")
    assert [await text(live, name) for name in names] == ["first "] * len(names)
    assert list(map(len, live.together)) == [MOST, 1]


async def test_a_place_that_does_not_answer_keeps_no_other_waiting() -> None:
    live, names = WatchedLive(), ["a", "b"]
    live.away = "a"
    transcripts, writers = await opened(live, names)
    async with AsyncExitStack() as stack:
        tasks = [await stack.enter_async_context(running(writer.run(), "writer")) for writer in writers]
        say(transcripts, writers, "first ")
        assert await text(live, "b") == "first "
        say(transcripts, writers, "second")
        for writer in writers:
            writer.close()
        await asyncio.wait_for(tasks[1], 10)
        assert await text(live, "b") == "first second"
        assert await live.read("a", None, timeout=0) == []
        live.back.set()
        await asyncio.wait_for(tasks[0], 10)
    assert await text(live, "a") == "first second"


async def test_a_fault_of_the_store_ends_the_answers_that_meet_it() -> None:
    transcripts, writers = await opened(BrokenLive(SystemClock()), ["a", "b"])
    say(transcripts, writers, "first ")
    for writer in writers:
        with pytest.raises(RuntimeError):
            await asyncio.wait_for(writer.run(), 10)


async def test_a_fault_that_one_meets_is_his_alone() -> None:
    class Picky(MemoryLive):
        async def append_all(self, appends: Mapping[str, Sequence[Delta]]) -> Mapping[str, Exception]:
            if "b" in appends:
                raise RuntimeError("a fault")
            return await super().append_all(appends)

    live = Picky(SystemClock())
    transcripts, writers = await opened(live, ["a", "b", "c"])
    say(transcripts, writers, "first ")
    with pytest.raises(RuntimeError):
        await asyncio.wait_for(writers[1].run(), 10)
    assert [await text(live, name) for name in "ac"] == ["first ", "first "]


async def test_a_writer_that_cannot_say_what_it_has_keeps_no_other_waiting() -> None:
    def fails() -> bool:
        raise RuntimeError("a fault")

    live = WatchedLive()
    transcripts, writers = await opened(live, ["a", "b"])
    writers[0]._allowed = fails
    say(transcripts, writers, "first ")
    with pytest.raises(RuntimeError):
        await asyncio.wait_for(writers[0].run(), 10)
    assert await text(live, "b") == "first "


async def test_what_becomes_of_a_delta_under_way_is_nothing_to_a_writer_that_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether it arrived or not: nothing more is begun."""
    monkeypatch.setattr("parley_worker.writer.COALESCE_SECONDS", 0.0)
    live = WatchedLive()
    live.away = "a"
    transcripts, writers = await opened(live, ["a", "b"])
    async with running(writers[0].run(), "writer"):
        say(transcripts[:1], writers[:1], "first ")
        await asyncio.wait_for(live.begun.wait(), 10)
        say(transcripts[:1], writers[:1], "second")
    live.back.set()
    assert await text(live, "a") == "first "
    say(transcripts[1:], writers[1:], "later")  # than the other would begin again
    assert await text(live, "b") == "later"
    assert live.together == [["a"], ["b"]]


async def test_after_its_end_nothing_is_written() -> None:
    live = WatchedLive()
    transcripts, writers = await opened(live, ["a", "b"])
    async with running(writers[0].run(), "writer"):
        await asyncio.sleep(0)  # it runs
    say(transcripts, writers, "late")
    assert await text(live, "b") == "late"
    assert live.together == [["b"]]

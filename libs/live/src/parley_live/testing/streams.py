"""Contract: token streams as their readers see them."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from parley_kit.errors import BadInput
from parley_live.base import Delta, End, Fenced, Live
from parley_live.testing.harness import Advance, LiveHarness, deltas, values


class StreamsContract(LiveHarness):
    async def test_entries_arrive_unchanged_in_order(self, live: Live, generation: str) -> None:
        """What was appended is read as it was, in the order of writing, with the terminal entry last."""
        written = [Delta(1, 1, 0, "Grüße 日本 👋\n\0", (1, 2, 151_643)), Delta(1, 1, 12, "x")]
        await live.raise_fence(generation, 1)
        await live.append(generation, written[:1])
        await live.append(generation, written[1:])
        await live.end(generation)
        assert values(await self.read_all(live, generation)) == [*written, End()]

    async def test_reading_goes_on_from_a_position(self, live: Live, generation: str) -> None:
        """After each entry's position come exactly the entries that follow it, for any number of readers."""
        await live.raise_fence(generation, 1)
        await live.append(generation, deltas(["a", "b", "c"]))
        await live.end(generation)
        entries = await self.read_all(live, generation)
        for index, entry in enumerate(entries[:-1]):
            assert list(await live.read(generation, entry.position, self.patience)) == entries[index + 1 :]
        await self.assert_empty(live, generation, entries[-1].position)

    async def test_read_gives_at_most_what_was_asked(self, live: Live, generation: str) -> None:
        """`most` bounds what one read gives, and the next goes on after it."""
        await live.raise_fence(generation, 1)
        await live.append(generation, deltas(["a", "b", "c"]))
        first = await live.read(generation, None, self.patience, most=2)
        assert values(first) == deltas(["a", "b"])
        assert values(await live.read(generation, first[-1].position, self.patience, most=2)) == deltas(["c"], offset=2)

    async def test_streams_are_separate(self, live: Live, generation: str) -> None:
        """What is written to one generation is not read from another."""
        await live.raise_fence(generation, 1)
        await live.append(generation, deltas(["a"]))
        await self.assert_empty(live, f"{generation}.other")

    async def test_read_times_out_empty(self, live: Live, generation: str) -> None:
        """Where nothing comes, read waits its time and returns nothing."""
        await live.raise_fence(generation, 1)
        started = monotonic()
        await self.assert_empty(live, generation)
        assert self.quiet * 0.9 <= monotonic() - started < self.patience

    async def test_append_wakes_waiting_readers(self, live: Live, generation: str) -> None:
        """All who wait at the end of a stream get the delta when it is written, not at their timeout."""
        await live.raise_fence(generation, 1)
        waiting = [asyncio.create_task(live.read(generation, None, self.patience * 10)) for _ in range(3)]
        await asyncio.sleep(self.quiet)
        await live.append(generation, deltas(["a"]))
        async with asyncio.timeout(self.patience):
            assert [values(await read) for read in waiting] == [deltas(["a"])] * 3

    async def test_a_reader_may_come_before_the_stream(self, live: Live, generation: str) -> None:
        """A read of a stream that is yet to be waits for its first entry."""
        waiting = asyncio.create_task(live.read(generation, None, self.patience * 10))
        await asyncio.sleep(self.quiet)
        await live.raise_fence(generation, 1)
        await live.append(generation, deltas(["a"]))
        async with asyncio.timeout(self.patience):
            assert values(await waiting) == deltas(["a"])

    async def test_end_is_written_once(self, live: Live, generation: str) -> None:
        """end is idempotent, and wakes readers of a stream that nobody began."""
        waiting = asyncio.create_task(self.read_all(live, generation))
        await asyncio.sleep(self.quiet)
        await live.end(generation)
        await live.end(generation)
        entries = await waiting
        assert values(entries) == [End()]
        await self.assert_empty(live, generation, entries[-1].position)

    async def test_nothing_is_written_after_the_end(self, live: Live, generation: str) -> None:
        """An ended stream is fenced for everybody, newer attempts included."""
        await live.raise_fence(generation, 1)
        await live.end(generation)
        with pytest.raises(Fenced):
            await live.append(generation, deltas(["a"]))
        with pytest.raises(Fenced):
            await live.raise_fence(generation, 2)
        assert values(await self.read_all(live, generation)) == [End()]

    async def test_a_stream_lives_for_its_retention_after_the_end(
        self, live: Live, advance: Advance, generation: str
    ) -> None:
        """It is whole until the retention is over, and gone afterwards; a second end does not prolong it."""
        await live.raise_fence(generation, 1)
        await live.append(generation, deltas(["a"]))
        await live.end(generation)
        await advance(self.retention * 0.6)
        await live.end(generation)
        assert values(await self.read_all(live, generation)) == [*deltas(["a"]), End()]
        await advance(self.retention * 0.6)
        await self.assert_empty(live, generation)

    async def test_writing_prolongs_the_life_of_a_stream(self, live: Live, advance: Advance, generation: str) -> None:
        """A stream that is written to is never trimmed; one that is left alone is dropped after its lifetime."""
        await live.raise_fence(generation, 1)
        for offset in range(3):
            await live.append(generation, deltas(["a"], offset=offset))
            await advance(self.lifetime * 0.6)
        assert values(await live.read(generation, None, self.patience)) == deltas(["a", "a", "a"])
        await advance(self.lifetime * 0.6)
        await self.assert_empty(live, generation)

    async def test_an_old_position_sees_all_of_a_new_stream(
        self, live: Live, advance: Advance, generation: str
    ) -> None:
        """When a stream was lost and begun again, a reader of the old one gets the new one from its first entry."""
        await live.raise_fence(generation, 1)
        await live.append(generation, deltas(["a", "b", "c"]))
        old = (await live.read(generation, None, self.patience))[-1].position
        await advance(self.lifetime * 1.2)
        assert await live.raise_fence(generation, 2) is None
        await live.append(generation, deltas(["z"], attempt=2, began=2))
        assert values(await live.read(generation, old, self.patience)) == deltas(["z"], attempt=2, began=2)

    async def test_bad_arguments_of_read_are_refused(self, live: Live, generation: str) -> None:
        """What is no position, and `most` below 1, are BadInput."""
        for position in ("", "nonsense", "1", "-1", "1-", "9" * 5000 + "-1"):
            with pytest.raises(BadInput):
                await live.read(generation, position, self.quiet)
        with pytest.raises(BadInput):
            await live.read(generation, None, self.quiet, most=0)

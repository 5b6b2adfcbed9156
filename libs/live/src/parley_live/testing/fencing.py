"""Contract: the fence, which makes one attempt the only writer of a stream."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from parley_kit.errors import BadInput
from parley_live.base import Delta, End, Fenced, Live
from parley_live.testing.harness import Advance, LiveHarness, deltas, values


class FencingContract(LiveHarness):
    async def test_the_first_attempt_finds_no_stream(self, live: Live, generation: str) -> None:
        """None says that there was no stream; the same attempt may ask again."""
        assert await live.raise_fence(generation, 1) is None
        assert not await live.raise_fence(generation, 1)

    async def test_a_new_attempt_gets_what_was_streamed(self, live: Live, generation: str) -> None:
        """The next attempt, and the same one again, is told all deltas so far, to continue after them."""
        await live.raise_fence(generation, 1)
        await live.append(generation, deltas(["ab", "c"]))
        for attempt in (1, 2, 2):
            streamed = await live.raise_fence(generation, attempt)
            assert streamed is not None
            assert list(streamed) == deltas(["ab", "c"])

    async def test_a_new_attempt_may_find_an_empty_stream(self, live: Live, generation: str) -> None:
        """A stream that was begun and not written to is there, and empty."""
        await live.raise_fence(generation, 1)
        streamed = await live.raise_fence(generation, 2)
        assert streamed is not None
        assert list(streamed) == []

    async def test_older_attempts_are_refused(self, live: Live, generation: str) -> None:
        """After raise_fence, an older attempt neither writes nor lowers the fence."""
        await live.raise_fence(generation, 1)
        await live.raise_fence(generation, 3)
        for attempt in (1, 2):
            with pytest.raises(Fenced):
                await live.append(generation, deltas(["a"], attempt=attempt))
            with pytest.raises(Fenced):
                await live.raise_fence(generation, attempt)
        await live.append(generation, deltas(["a"], attempt=3))
        assert values(await live.read(generation, None, self.patience)) == deltas(["a"], attempt=3)

    async def test_an_attempt_writes_only_behind_its_own_fence(self, live: Live, generation: str) -> None:
        """An attempt that did not raise the fence is refused, newer or not."""
        with pytest.raises(Fenced):
            await live.append(generation, deltas(["a"]))
        await live.raise_fence(generation, 1)
        with pytest.raises(Fenced):
            await live.append(generation, deltas(["a"], attempt=2))
        await self.assert_empty(live, generation)

    async def test_a_stream_that_is_gone_is_fenced(self, live: Live, advance: Advance, generation: str) -> None:
        """A writer whose stream was lost is refused: it must not go on in the middle of a new one."""
        await live.raise_fence(generation, 1)
        await live.append(generation, deltas(["a"]))
        await advance(self.lifetime * 1.2)
        with pytest.raises(Fenced):
            await live.append(generation, deltas(["b"], offset=1))
        await self.assert_empty(live, generation)

    async def test_append_is_all_or_none(self, live: Live, generation: str) -> None:
        """Deltas of several attempts are BadInput, and none of them is written."""
        await live.raise_fence(generation, 2)
        with pytest.raises(BadInput):
            await live.append(generation, [*deltas(["a"], attempt=2), *deltas(["b"], attempt=1)])
        await self.assert_empty(live, generation)

    async def test_a_delta_has_text(self, live: Live, generation: str) -> None:
        """One without is BadInput: a repeat of it could not be told from the next."""
        await live.raise_fence(generation, 1)
        with pytest.raises(BadInput):
            await live.append(generation, deltas(["a", ""]))
        await self.assert_empty(live, generation)

    async def test_a_repeated_append_is_written_once(self, live: Live, generation: str) -> None:
        """Who does not know whether it arrived may ask again, later and for several at once."""
        written = deltas(["ab", "c", "d", "efg"])
        await live.raise_fence(generation, 1)
        for sent in (written[:1], written[:1], written[1:3], written[2:3], written[1:], written):
            await live.append(generation, sent)
        await live.end(generation)
        assert values(await self.read_all(live, generation)) == [*written, End()]

    async def test_appends_at_once_are_each_as_if_alone(self, live: Live, generation: str) -> None:
        """Of streams that are written together some are refused, each for its own reason; the others are written."""
        one, other, late, lost, empty = (f"{generation}.{number}" for number in range(5))
        for stream in (one, other, late, empty):
            await live.raise_fence(stream, 1)
        await live.raise_fence(late, 2)
        written = {one: deltas(["ab", "c"]), late: deltas(["x"]), lost: deltas(["x"]), other: deltas(["d"])}
        for _ in range(2):
            failed = await live.append_all({empty: deltas([""]), **written})
            assert {stream: type(error) for stream, error in failed.items()} == {
                empty: BadInput,
                late: Fenced,
                lost: Fenced,
            }
        for stream in (one, other):
            assert values(await live.read(stream, None, self.patience)) == written[stream]
        for stream in (late, lost, empty):
            await self.assert_empty(live, stream)

    async def test_a_text_that_begins_again_is_no_repeat(self, live: Live, generation: str) -> None:
        """The same offsets of another text, told by `began`, are new, and again written once."""
        first, second = deltas(["ab", "c"]), deltas(["abc", "d"], attempt=2, began=2)
        await live.raise_fence(generation, 1)
        await live.append(generation, first)
        await live.raise_fence(generation, 2)
        for sent in (second[:1], second[:1], second):
            await live.append(generation, sent)
        assert values(await live.read(generation, None, self.patience)) == [*first, *second]

    async def test_takeover_at_every_point(self, live: Live, generation: str) -> None:
        """Wherever the second attempt takes over, it alone goes on, and the text has no gap and no repeat."""
        pieces = ["a", "bc", "d", "efg", "h"]
        for cut in range(len(pieces) + 1):
            stream = f"{generation}.{cut}"
            await live.raise_fence(stream, 1)
            for delta in deltas(pieces)[:cut]:
                await live.append(stream, [delta])
            await self._take_over(live, stream, "".join(pieces))
            with pytest.raises(Fenced):
                await live.append(stream, deltas(pieces)[cut : cut + 1] or deltas(["i"], offset=8))
            await live.end(stream)
            await self._assert_text(live, stream, "".join(pieces))

    async def test_takeover_while_the_first_writes(self, live: Live, generation: str) -> None:
        """Both write at the same time: after the second's raise_fence nothing of the first is ever appended."""
        for round_ in range(10):
            stream = f"{generation}.{round_}"
            await live.raise_fence(stream, 1)
            first = asyncio.create_task(self._write_until_fenced(live, stream))
            held = await live.read(stream, None, self.patience)
            for _ in range(round_):
                held = await live.read(stream, held[-1].position, self.patience)
            await self._take_over(live, stream, "x" * 10_000)
            async with asyncio.timeout(self.patience):
                await first
            await live.end(stream)
            await self._assert_text(live, stream, "x" * 10_000)

    async def _write_until_fenced(self, live: Live, stream: str) -> None:
        for offset in count():
            try:
                await live.append(stream, deltas(["x"], offset=offset))
            except Fenced:
                return
            await asyncio.sleep(0)

    async def _take_over(self, live: Live, stream: str, text: str) -> None:
        """Continue as attempt 2 where the stream stopped, so slowly that the first could come in between."""
        offset = sum(len(delta.text) for delta in await live.raise_fence(stream, 2) or ())
        for piece in filter(None, (text[offset : offset + 1], text[offset + 1 :])):
            await asyncio.sleep(0)
            await live.append(stream, deltas([piece], attempt=2, offset=offset))
            offset += len(piece)

    async def _assert_text(self, live: Live, stream: str, text: str) -> None:
        entries = values(await self.read_all(live, stream))
        assert isinstance(entries[-1], End)
        written = [value for value in entries if isinstance(value, Delta)]
        assert [delta.attempt for delta in written] == sorted(delta.attempt for delta in written)
        offset = 0
        for delta in written:
            assert delta.offset == offset
            offset += len(delta.text)
        assert "".join(delta.text for delta in written) == text

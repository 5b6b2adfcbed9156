"""Moments in which a reader could miss an entry, made to happen."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from parley_live import Entry
from parley_live.redis import RedisLive
from parley_live.redis.tail import LENGTH
from parley_live.redis.watches import Watch
from parley_live.testing.harness import deltas, values
from parley_live.testing.servers import PATIENCE, Open, RedisServer


def watch_of(live: RedisLive, generation: str) -> Watch:
    return live._servers.of(generation).watches._watches[f"gen:{{{generation}}}".encode()]


async def append_and_hear(live: RedisLive, generation: str, texts: Sequence[str]) -> None:
    """Until the push has come."""
    watch = watch_of(live, generation)
    version = watch.version
    await live.append(generation, deltas(texts))
    if watch.version == version:
        assert await watch.changed(asyncio.get_running_loop().time() + PATIENCE)


async def test_an_entry_that_comes_while_the_stream_is_asked(
    server: RedisServer, open_live: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was asked before, the answer comes after the push: the reader looks again."""
    async with open_live(server.url) as live:
        await live.raise_fence("g", 1)
        fetch = live._fetch

        async def slow(*arguments: Any) -> Sequence[Entry]:
            answer = await fetch(*arguments)
            monkeypatch.setattr(live, "_fetch", fetch)
            await append_and_hear(live, "g", ["a"])
            return answer

        monkeypatch.setattr(live, "_fetch", slow)
        async with asyncio.timeout(PATIENCE):
            assert values(await live.read("g", None, 60)) == deltas(["a"])


async def test_an_answer_is_shared_only_by_those_who_asked_before_it(
    server: RedisServer, open_live: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_live(server.url) as live:
        await live.raise_fence("g", 1)
        fetch, answered, go_on = live._fetch, asyncio.Event(), asyncio.Event()

        async def held(*arguments: Any) -> Sequence[Entry]:
            answer = await fetch(*arguments)
            monkeypatch.setattr(live, "_fetch", fetch)
            answered.set()
            await go_on.wait()
            return answer

        monkeypatch.setattr(live, "_fetch", held)
        early = asyncio.create_task(live.read("g", None, 60))
        await answered.wait()
        texts = ["a"] * (LENGTH + 1)  # more than the tail can tell
        await append_and_hear(live, "g", texts)
        late = asyncio.create_task(live.read("g", None, 60))
        await asyncio.sleep(0.05)
        go_on.set()
        async with asyncio.timeout(PATIENCE):
            assert values(await late) == values(await early) == deltas(texts)


async def test_a_push_that_is_late(server: RedisServer, open_live: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing by the reader's time: the stream itself has the last word."""
    async with open_live(server.url) as live:
        await live.raise_fence("g", 1)
        assert await live.read("g", None, 0) == []
        await append_and_hear(live, "g", ["a"])
        position = (await live.read("g", None, 1))[-1].position
        monkeypatch.setattr(watch_of(live, "g"), "heard", lambda message: None)
        await live.append("g", deltas(["b"], offset=1))
        assert values(await live.read("g", position, 0.01)) == deltas(["b"], offset=1)


async def test_what_was_pushed_before_a_loss_says_nothing_after_it(server: RedisServer, open_live: Open) -> None:
    async with open_live(server.url) as live:
        await live.raise_fence("g", 1)
        assert await live.read("g", None, 0) == []
        await append_and_hear(live, "g", ["a"])
        watch = watch_of(live, "g")
        assert len(watch.tail._entries) == 1
        watch.left(None)
        assert not watch.tail._entries


async def test_readers_who_leave_while_they_ask_leave_nothing(server: RedisServer, open_live: Open) -> None:
    """Nor do they take the answer away from those who stay."""
    async with open_live(server.url) as live:
        await live.raise_fence("g", 1)
        await live.append("g", deltas(["a"]))
        reads = [asyncio.create_task(live.read("g", None, 30)) for _ in range(6)]
        while not any(watch.asked for watch in live._servers.of("g").watches._watches.values()):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0)
        for read in reads[:3]:
            read.cancel()
        async with asyncio.timeout(PATIENCE):
            assert [values(await read) for read in reads[3:]] == [deltas(["a"])] * 3
        await asyncio.gather(*reads, return_exceptions=True)
        watch = watch_of(live, "g")
        assert (watch.readers, len(watch._waiting), len(watch.asked)) == (0, 0, 0)

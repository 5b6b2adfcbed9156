"""Redis against MemoryLive as the model: the same history gives the same answers, and every reader the same stream."""

from __future__ import annotations

import random
from collections.abc import Sequence
from uuid import uuid4

import pytest

from parley_kit.clock import SystemClock
from parley_live import Delta, End, Fenced, Live
from parley_live.memory import MemoryLive
from parley_live.redis import RedisSettings, open_redis
from parley_live.testing.harness import values

STEPS = 60


class History:
    """What two writers and three readers do to a few generations, drawn from a seed; applied to both in step."""

    def __init__(self, seed: int, redis: Live, memory: Live) -> None:
        self._random = random.Random(seed)
        self._both = (redis, memory)
        self._texts: dict[tuple[str, int], tuple[int, int]] = {}
        self._positions: dict[tuple[str, int], tuple[str | None, str | None]] = {}
        self._last: dict[str, list[Delta]] = {}

    async def step(self) -> None:
        generation = self._random.choice("abc")
        attempt = self._random.randint(1, 4)
        draw = self._random.random()
        if draw < 0.15:
            await self._fence(generation, attempt)
        elif draw < 0.5:
            await self._append(generation, attempt)
        elif draw < 0.6 and generation in self._last:
            await self._same(lambda live: live.append(generation, self._last[generation]))
        elif draw < 0.63:
            await self._same(lambda live: live.end(generation))
        else:
            await self._read(generation, reader=self._random.randint(1, 3))

    async def _fence(self, generation: str, attempt: int) -> None:
        streamed = await self._same(lambda live: live.raise_fence(generation, attempt))
        if streamed == "fenced":
            return
        text, began = 0, attempt
        if isinstance(streamed, list) and streamed:
            last = streamed[-1]
            if last.began == attempt or self._random.random() < 0.8:  # else the text begins again
                began, text = last.began, last.offset + len(last.text)
        self._texts[generation, attempt] = (began, text)

    async def _append(self, generation: str, attempt: int) -> None:
        began, offset = self._texts.get((generation, attempt), (attempt, 0))
        deltas = []
        end = offset
        for _ in range(self._random.randint(1, 3)):
            text = "".join(self._random.choices("ab\n👋\ud800é", k=self._random.randint(1, 4)))
            deltas.append(Delta(attempt, began, end, text, tuple(map(ord, text))))
            end += len(text)
        if await self._same(lambda live: live.append(generation, deltas)) is None:
            self._texts[generation, attempt] = (began, end)
            self._last[generation] = deltas

    async def _read(self, generation: str, reader: int) -> None:
        most = self._random.randint(1, 5)
        old = self._positions.get((generation, reader), (None, None))
        redis, memory = self._both
        expected = list(await memory.read(generation, old[1], 0.001, most))
        read = list(await redis.read(generation, old[0], 0.001, most))
        while 0 < len(read) < len(expected):  # a reader may get less than there is, never nothing
            read += await redis.read(generation, read[-1].position, 0.001, most - len(read))
        assert values(read) == values(expected)
        if read:
            self._positions[generation, reader] = (read[-1].position, expected[-1].position)

    async def _same(self, call: object) -> object:
        answers = [await _answer(call, live) for live in self._both]
        assert answers[0] == answers[1]
        return answers[0]

    async def assert_streams_are_equal(self) -> None:
        for generation in "abc":
            streams: list[list[Delta | End]] = [[], []]
            for live, stream in zip(self._both, streams, strict=True):
                position = None
                while read := await live.read(generation, position, 0.001, most=7):
                    stream += values(read)
                    position = read[-1].position
            assert streams[0] == streams[1]


async def _answer(call: object, live: Live) -> object:
    assert callable(call)
    try:
        answer = await call(live)
    except Fenced:
        return "fenced"
    return list(answer) if isinstance(answer, Sequence) else answer


@pytest.mark.parametrize("seed", range(12))
async def test_any_history(redis_url: str, seed: int) -> None:
    settings = RedisSettings(redis_urls=(redis_url,))
    async with open_redis(settings, prefix=f"{uuid4().hex}:") as live:
        history = History(seed, live, MemoryLive(SystemClock()))
        for _ in range(STEPS):
            await history.step()
        await history.assert_streams_are_equal()

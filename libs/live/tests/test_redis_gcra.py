"""The Lua of the rate limits against parley_live.gcra, on a clock that the test sets."""

from __future__ import annotations

import random
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from parley_live import Rate
from parley_live.gcra import MICROSECONDS, take
from parley_live.redis.scripts import TAKE

CLOCK = "redis.call('TIME')"
LIFE = "math.ceil(owed / limit / 1000)"  # by the real clock
START = 1_790_000_000 * MICROSECONDS


@pytest.mark.parametrize("seed", range(8))
async def test_decides_as_the_arithmetic_in_whole_numbers(redis_url: str, seed: int) -> None:
    """To the µs, at today's times; up to 2^53 units, and here also with limits whose shares are no whole µs."""
    assert CLOCK in TAKE.text
    assert LIFE in TAKE.text
    script = TAKE.text.replace(CLOCK, "{ARGV[4], ARGV[5]}").replace(LIFE, "60000")
    draw = random.Random(seed)
    rate = Rate(draw.choice([1, 3, 7, 100, 1_000_000]), draw.choice([0.001, 1.0, 1 / 3, 60.0, 3600.0]))
    due, now, key = 0, START, uuid4().hex
    async with Redis.from_url(redis_url) as client:
        for _ in range(200):
            now += draw.choice([0, 1, draw.randint(0, round(rate.seconds * MICROSECONDS * 1.5))])
            cost = draw.choice([1, rate.limit, draw.randint(1, rate.limit)])
            due, wait = take(due, now, rate, cost)
            price = round(rate.seconds * MICROSECONDS)
            arguments = (rate.limit, price, cost, now // MICROSECONDS, now % MICROSECONDS)
            assert await client.eval(script, 1, key, *map(str, arguments)) == wait
        await client.delete(key)

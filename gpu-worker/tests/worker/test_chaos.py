"""Workers come and go at random moments: every answer is exact, and ends once."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack

import pytest

from parley_proto.events.v1.events_pb2 import GenerationCompleted
from parley_worker.backends.scripted import ScriptedBackend
from parley_worker.tasks import running
from parley_worker.testing.backends import words
from parley_worker.testing.platform import Platform

ANSWERS = 12
TOKENS = 120


async def come_and_go(platform: Platform, chance: random.Random) -> None:
    """One worker after the other."""
    while True:
        async with platform.worker(ScriptedBackend(1, capacity=4)):
            await asyncio.sleep(chance.uniform(0.0, 0.2))  # the moment of the close is what varies


@pytest.mark.parametrize("seed", range(3))
async def test_every_answer_is_exact_and_ends_once(platform: Platform, seed: int) -> None:
    asked = [await platform.ask(max_tokens=TOKENS) for _ in range(ANSWERS)]
    async with AsyncExitStack() as places:
        for place in range(2):
            work = come_and_go(platform, random.Random(2 * seed + place))
            await places.enter_async_context(running(work, "workers"))
        events = [await platform.end() for _ in range(ANSWERS)]
    assert sorted(event.generation_id for event in events) == sorted(asked)
    assert await platform.no_end()
    assert max(event.attempt for event in events) > 1
    for event in events:
        assert isinstance(event, GenerationCompleted)
        assert event.text == words(0, TOKENS)
        deltas, length = await platform.deltas(event.generation_id), 0
        assert deltas[0].attempt == event.began_attempt  # an attempt that is closed at once streams nothing
        for delta in deltas:
            assert (delta.offset, delta.began) == (length, event.began_attempt)
            length += len(delta.text)
        assert length == len(event.text)

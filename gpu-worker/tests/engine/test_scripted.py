"""The scripted backend says w0 w1 w2 ... to the millisecond."""

from __future__ import annotations

import asyncio

from parley_kit.clock import ManualClock
from parley_worker.backends.scripted import ScriptedBackend
from parley_worker.core import ChatMessage, Chunk, FinishReason, Job, Prefix, SamplingParams, Usage

MESSAGES = (ChatMessage("system", "be  brief"), ChatMessage("user", "one two\nthree"))


async def collect(backend: ScriptedBackend, job: Job) -> list[Chunk]:
    return [chunk async for chunk in backend.generate(job)]


async def test_sixty_four_tokens_by_default() -> None:
    chunks = await collect(ScriptedBackend(0), Job("a", MESSAGES))
    assert "".join(chunk.text for chunk in chunks) == "".join(f"w{i} " for i in range(64))
    assert [chunk.token_ids for chunk in chunks] == [(i,) for i in range(64)]
    assert chunks[-1].finish_reason is FinishReason.LENGTH
    assert chunks[-1].usage == Usage(prompt_tokens=5, completion_tokens=64)


async def test_ten_thousand_tokens_leave_room_for_others() -> None:
    backend = ScriptedBackend(0)
    long = asyncio.create_task(collect(backend, Job("a", MESSAGES, SamplingParams(max_tokens=10_000))))
    await asyncio.sleep(0)
    await collect(backend, Job("b", MESSAGES, SamplingParams(max_tokens=10)))
    assert not long.done()
    assert len(await long) == 10_000


async def test_goes_on_after_a_prefix() -> None:
    prefix = Prefix((0, 1, 2), "w0 w1 ")
    chunks = await collect(ScriptedBackend(0), Job("a", MESSAGES, SamplingParams(max_tokens=5), prefix))
    assert [chunk.text for chunk in chunks] == ["w2 w3 ", "w4 "]
    assert chunks[-1].usage == Usage(5, 5)


async def test_stop_strings_are_found_across_tokens() -> None:
    chunks = await collect(ScriptedBackend(0), Job("a", MESSAGES, SamplingParams(stop=("2 w3",))))
    assert "".join(chunk.text for chunk in chunks) == "w0 w1 w"
    assert chunks[-1].finish_reason is FinishReason.STOP
    assert chunks[-1].usage == Usage(5, 4)


async def test_the_schedule_is_absolute() -> None:
    clock = ManualClock()
    backend = ScriptedBackend(20, clock=clock)
    times: list[float] = []

    async def read() -> None:
        async for _ in backend.generate(Job("a", MESSAGES, SamplingParams(max_tokens=6))):
            times.append(round(clock.monotonic(), 3))

    reader = asyncio.create_task(read())
    for seconds in (0.019, 0.001, 0.030, 0.030, 0.040):
        await _settle()
        clock.advance(seconds)
    await asyncio.wait_for(reader, 5)
    # The third token was due at 0.060 and came late; the fourth is on time again.
    assert times == [0.02, 0.05, 0.08, 0.08, 0.12, 0.12]


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)

"""The consumer of workers' events: what is broken is put aside, what cannot be applied now is applied later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from parley_bus import DLQ_SUFFIX, Delivery, Record
from parley_bus.events import GENERATION_EVENTS, from_record, to_record
from parley_conversation.domain.generation import FinishReason, Generation, State
from parley_conversation.domain.outcome import Ending
from parley_conversation.entrypoints.consumer import GROUP, GenerationConsumer, to_ending
from parley_kit.clock import ManualClock
from parley_kit.errors import BadInput, Unavailable
from parley_live import End
from parley_proto.conversation.v1 import types_pb2 as types
from parley_proto.events.v1 import events_pb2 as events


class HurriedClock(ManualClock):
    """Pauses between retries take no time."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


@asynccontextmanager
async def consuming(world: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(GenerationConsumer(world.bus, world.service.endings, HurriedClock()).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def running(world: Any) -> Generation:
    generation = await world.sent()
    assert await world.service.leases.claim(generation.id, "worker-1")
    return await world.stored(generation.id)


def completed(generation: Generation, text: str = "Hi.") -> Any:
    return events.GenerationCompleted(
        generation_id=generation.id,
        conversation_id=generation.conversation_id,
        attempt=generation.attempt,
        began_attempt=generation.attempt,
        text=text,
        finish_reason=types.FINISH_REASON_LENGTH,
    )


async def publish(world: Any, generation: Generation, event: Any) -> Record:
    record = to_record(GENERATION_EVENTS, generation.conversation_id, event, "worker", world.clock)
    await world.bus.publish(record)
    return record


async def ended(world: Any, generation: Generation) -> None:
    async with asyncio.timeout(10):
        while not any(isinstance(it.value, End) for it in await world.live.read(generation.id, None, 5)):
            pass


async def letters(world: Any) -> list[Delivery]:
    async with world.bus.subscribe([GENERATION_EVENTS + DLQ_SUFFIX], "test") as consumer:
        return [*await consumer.fetch(10, 0.01)]


async def test_what_is_applied_is_settled(world: Any) -> None:
    first, second = await running(world), await running(world)
    async with consuming(world):
        for generation in (first, second):  # the first is settled long before the second is applied
            await publish(world, generation, completed(generation))
            await ended(world, generation)
    async with world.bus.subscribe([GENERATION_EVENTS], GROUP) as successor:
        again = {from_record(delivery.record).generation_id for delivery in await successor.fetch(9, 0.01)}
    assert first.id not in again
    assert (await world.stored(first.id)).finish_reason is FinishReason.LENGTH


async def test_while_the_store_is_away_nothing_is_settled_and_later_all_is_applied(world: Any) -> None:
    """R8."""
    generation = await running(world)
    finish, failures = world.stores.generations.finish, 0

    async def away_twice(*arguments: Any) -> Any:
        nonlocal failures
        failures += 1
        if failures <= 2:
            raise Unavailable("away")
        return await finish(*arguments)

    world.stores.generations.finish = away_twice
    async with consuming(world):
        await publish(world, generation, completed(generation))
        await ended(world, generation)
    assert failures == 3
    assert not await letters(world)


async def test_an_event_that_waits_for_a_store_holds_back_no_other(world: Any) -> None:
    first, second = await running(world), await running(world)
    finish, back = world.stores.generations.finish, asyncio.Event()

    async def away_for_the_first(generation_id: str, *arguments: Any) -> Any:
        if generation_id == first.id and not back.is_set():
            raise Unavailable("away")
        return await finish(generation_id, *arguments)

    world.stores.generations.finish = away_for_the_first
    async with consuming(world):
        await publish(world, first, completed(first))
        await publish(world, second, completed(second))
        await ended(world, second)
        back.set()
        await ended(world, first)
    assert not await letters(world)


async def test_what_cannot_be_put_aside_now_is_put_aside_later(world: Any) -> None:
    first, second = await running(world), await running(world)
    publish_any, back = world.bus.publish, asyncio.Event()

    async def publish_no_letters(record: Record) -> None:
        if record.topic.endswith(DLQ_SUFFIX) and not back.is_set():
            raise Unavailable("away")
        await publish_any(record)

    world.bus.publish = publish_no_letters
    broken = to_record(GENERATION_EVENTS, first.conversation_id, completed(first), "worker", world.clock)
    async with consuming(world), world.bus.subscribe([GENERATION_EVENTS + DLQ_SUFFIX], "test") as dead:
        await world.bus.publish(replace(broken, value=b"\xff"))
        await publish(world, second, completed(second))
        await ended(world, second)
        back.set()
        (letter,) = await dead.fetch(1, 10)
    assert letter.record.headers["dlq_error"] == "BadInput"


async def test_what_makes_it_fail_is_put_aside_and_the_next_is_applied(world: Any) -> None:
    first, second = await running(world), await running(world)
    finish = world.stores.generations.finish

    async def broken(generation_id: str, *arguments: Any) -> Any:
        if generation_id == first.id:
            raise RuntimeError("a bug")
        return await finish(generation_id, *arguments)

    world.stores.generations.finish = broken
    async with consuming(world):
        await publish(world, first, completed(first))
        await publish(world, second, completed(second))
        await ended(world, second)
    [letter] = await letters(world)
    assert letter.record.headers["dlq_reason"] == "RuntimeError"


async def test_an_event_of_what_does_not_exist_is_no_error(world: Any) -> None:
    generation = await running(world)
    await world.service.handlers.conversations.delete(world.owner, generation.conversation_id)
    await world.service.sweep.tick()
    other = await running(world)
    async with consuming(world):
        await publish(world, generation, completed(generation))
        await publish(world, other, completed(other))
        await ended(world, other)
    assert not await letters(world)


def test_an_end_without_a_reason_is_refused() -> None:
    with pytest.raises(BadInput):
        to_ending(events.GenerationCompleted(generation_id="g", attempt=1))


@pytest.mark.parametrize(
    ("code", "state", "shown"),
    [("INTERNAL", State.FAILED, "INTERNAL"), ("DEADLINE_EXCEEDED", State.EXPIRED, "DEADLINE_EXCEEDED")],
)
def test_failures_keep_their_code(code: str, state: State, shown: str) -> None:
    event = events.GenerationFailed(attempt=1, text="so", failure=types.Failure(code=code, message="m"))
    ending = to_ending(event)
    assert (ending.state, ending.text, ending.finish_reason) == (state, "so", FinishReason.ERROR)
    assert ending.failure is not None
    assert ending.failure.code == shown


def test_a_cancelled_answer_keeps_its_text_and_usage() -> None:
    event = events.GenerationCancelled(
        attempt=2, began_attempt=1, text="so", usage=types.Usage(prompt_tokens=3, completion_tokens=1)
    )
    ending = to_ending(event)
    assert ending == Ending(State.CANCELLED, "so", 1, FinishReason.CANCELLED, ending.usage)
    assert ending.usage is not None
    assert (ending.usage.prompt_tokens, ending.usage.completion_tokens) == (3, 1)

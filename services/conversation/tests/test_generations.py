"""The life of a generation without luck: leases, stops, the sweep's repairs, ends that come late or twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from parley_bus.events import from_record, inference_topic
from parley_conversation.domain.generation import Failure, FinishReason, Generation, State
from parley_conversation.domain.outcome import Ending, failed
from parley_kit.errors import Unavailable
from parley_kit.ids import new_id
from parley_live import Delta, Fenced
from parley_proto.events.v1 import events_pb2 as events


def completed(attempt: int, text: str) -> Ending:
    return Ending(State.COMPLETED, text, attempt, FinishReason.STOP)


async def stream(world: Any, generation: Generation, attempt: int, text: str) -> None:
    """What a worker does first, and its first delta."""
    deltas = await world.live.raise_fence(generation.id, attempt) or []
    offset = sum(len(delta.text) for delta in deltas)
    began = deltas[-1].began if deltas else attempt
    await world.live.append(generation.id, [Delta(attempt, began, offset, text)])


async def test_one_of_many_claims_wins(world: Any) -> None:
    generation = await world.sent()
    assert await world.claim(generation) == 1
    assert await world.service.leases.claim(generation.id, "worker-2") is None


async def test_a_heartbeat_keeps_the_lease(world: Any) -> None:
    generation = await world.sent()
    attempt = await world.claim(generation)
    for _ in range(5):
        world.clock.advance(4)
        pulse = await world.service.leases.heartbeat("worker-1", "tiny", 100, {generation.id: attempt})
        assert (pulse.cancelled, pulse.lost) == ([], [])
        await world.service.sweep.tick()
    assert (await world.stored(generation.id)).state is State.RUNNING


async def test_a_lease_that_runs_out_queues_the_generation_for_another_worker(world: Any) -> None:
    generation = await world.sent()
    attempt = await world.claim(generation)
    world.clock.advance(6)
    await world.service.sweep.tick()
    assert len(world.bus.published(events.InferenceRequested)) == 2
    assert await world.claim(generation, "worker-2") == attempt + 1
    pulse = await world.service.leases.heartbeat("worker-1", "tiny", 100, {generation.id: attempt})
    assert pulse.lost == [generation.id]


async def test_the_end_of_an_older_attempt_is_refused(world: Any) -> None:
    """R4, at the owner of the truth: the compare-and-set on the attempt."""
    generation = await world.sent()
    old = await world.claim(generation)
    world.clock.advance(6)
    await world.service.sweep.tick()
    new = await world.claim(generation, "worker-2")
    assert not await world.service.endings.apply(generation.id, old, completed(old, "zombie"))
    assert await world.service.endings.apply(generation.id, new, completed(new, "alive"))
    assert await world.contents(generation.conversation_id) == ["Hello", "alive"]


async def test_an_end_that_comes_twice_changes_nothing(world: Any) -> None:
    generation = await world.sent()
    attempt = await world.claim(generation)
    assert await world.service.endings.apply(generation.id, attempt, completed(attempt, "Hi."))
    before = await world.stored(generation.id)
    world.clock.advance(1)
    assert not await world.service.endings.apply(generation.id, attempt, failed(Failure("INTERNAL", "x"), "", 1))
    assert await world.stored(generation.id) == before
    assert await world.contents(generation.conversation_id) == ["Hello", "Hi."]
    assert await world.ends(generation) == 1


async def test_the_answer_is_readable_before_the_stream_ends(world: Any) -> None:
    """Finished means stored."""
    generation = await world.sent()
    attempt = await world.claim(generation)
    end, seen = world.live.end, []

    async def observed(generation_id: str) -> None:
        shown = await world.service.handlers.messages.get_many(world.owner, [generation.answer_id])
        seen.extend(it.message.content for it in shown)
        await end(generation_id)

    world.live.end = observed
    await world.service.endings.apply(generation.id, attempt, completed(attempt, "Hi."))
    assert seen == ["Hi."]


async def test_after_three_attempts_it_fails_and_keeps_what_was_streamed(world: Any) -> None:
    generation = await world.sent()
    for expected in (1, 2, 3):
        assert await world.claim(generation) == expected
        await stream(world, generation, expected, f"part {expected} ")
        world.clock.advance(6)
        await world.service.sweep.tick()
    ended = await world.stored(generation.id)
    assert (ended.state, ended.finish_reason) == (State.FAILED, FinishReason.ERROR)
    assert ended.failure is not None
    assert ended.failure.code == "UNAVAILABLE"
    assert await world.contents(generation.conversation_id) == ["Hello", "part 1 part 2 part 3 "]
    assert await world.ends(generation) == 1


async def test_past_its_deadline_it_expires_whoever_works_on_it(world: Any) -> None:
    """R2."""
    generation = await world.sent()
    attempt = await world.claim(generation)
    await stream(world, generation, attempt, "so far")
    for _ in range(150):
        world.clock.advance(4)
        await world.service.leases.heartbeat("worker-1", "tiny", 100, {generation.id: attempt})
    await world.service.sweep.tick()
    ended = await world.stored(generation.id)
    assert ended.state is State.EXPIRED
    assert ended.failure is not None
    assert ended.failure.code == "DEADLINE_EXCEEDED"
    assert await world.contents(generation.conversation_id) == ["Hello", "so far"]


async def test_what_no_worker_ever_took_expires_too(world: Any) -> None:
    generation = await world.sent()
    world.clock.advance(600)
    await world.service.sweep.tick()
    assert (await world.stored(generation.id)).state is State.EXPIRED
    assert await world.ends(generation) == 1


async def test_a_worker_that_says_deadline_exceeded_means_expired(world: Any) -> None:
    generation = await world.sent()
    attempt = await world.claim(generation)
    told = failed(Failure("DEADLINE_EXCEEDED", "worker's words"), "so far", attempt)
    await world.service.endings.apply(generation.id, attempt, told)
    assert (await world.stored(generation.id)).state is State.EXPIRED


async def test_a_forced_end_fences_the_stream(world: Any) -> None:
    """R4: what is final cannot grow, even while the end is still on its way to the stream."""
    generation = await world.sent()
    attempt = await world.claim(generation)
    await stream(world, generation, attempt, "so far")
    running = await world.stored(generation.id)

    async def unreachable(_generation_id: str) -> None:
        raise Unavailable("away")

    end, world.live.end = world.live.end, unreachable
    await world.service.endings.expire(running)
    with pytest.raises(Fenced):
        await world.live.append(generation.id, [Delta(attempt, attempt, 6, "zombie")])
    world.live.end = end
    assert not await world.service.endings.apply(generation.id, attempt, completed(attempt, "so far zombie"))
    assert await world.contents(generation.conversation_id) == ["Hello", "so far"]


async def test_a_request_that_nobody_takes_is_published_again_under_another_key(world: Any) -> None:
    await world.sent()
    for seconds in (3, 1, 1, 1):
        world.clock.advance(seconds)
        await world.service.sweep.tick()
    requests = [record for record in world.bus.records if "inference" in record.topic]
    assert len(requests) == 3
    assert len({record.key for record in requests}) == 3


async def test_a_stop_before_the_first_token_ends_it_at_once(world: Any) -> None:
    generation = await world.sent()
    stopped = await world.service.handlers.generations.stop(world.owner, generation.id)
    assert (stopped.state, stopped.finish_reason) == (State.CANCELLED, FinishReason.CANCELLED)
    assert await world.service.leases.claim(generation.id, "worker-1") is None
    assert await world.ends(generation) == 1


async def test_a_stop_reaches_the_worker_both_ways(world: Any) -> None:
    generation = await world.sent()
    attempt = await world.claim(generation)
    async with world.live.listen() as signals:
        stopped = await world.service.handlers.generations.stop(world.owner, generation.id)
        assert await anext(signals) == generation.id
    assert stopped.state is State.RUNNING
    pulse = await world.service.leases.heartbeat("worker-1", "tiny", 100, {generation.id: attempt})
    assert pulse.cancelled == [generation.id]
    told = Ending(State.CANCELLED, "so", attempt, FinishReason.CANCELLED)
    assert await world.service.endings.apply(generation.id, attempt, told)
    assert await world.contents(generation.conversation_id) == ["Hello", "so"]


async def test_a_stop_that_the_worker_does_not_answer_is_forced_within_3_seconds(world: Any) -> None:
    generation = await world.sent()
    attempt = await world.claim(generation)
    await stream(world, generation, attempt, "so far")
    await world.service.handlers.generations.stop(world.owner, generation.id)
    for _ in range(2):
        world.clock.advance(1)
        await world.service.leases.heartbeat("worker-1", "tiny", 100, {generation.id: attempt})
        await world.service.sweep.tick()
    ended = await world.stored(generation.id)
    assert ended.state is State.CANCELLED
    assert await world.contents(generation.conversation_id) == ["Hello", "so far"]


async def test_a_stop_between_two_workers_keeps_what_was_streamed(world: Any) -> None:
    generation = await world.sent()
    attempt = await world.claim(generation)
    await stream(world, generation, attempt, "so far")
    await world.service.leases.release({generation.id: attempt})
    stopped = await world.service.handlers.generations.stop(world.owner, generation.id)
    assert stopped.state is State.CANCELLED
    assert await world.contents(generation.conversation_id) == ["Hello", "so far"]
    with pytest.raises(Fenced):
        await world.live.append(generation.id, [Delta(attempt, attempt, 6, "zombie")])


async def test_stopping_what_is_finished_changes_nothing(world: Any) -> None:
    generation = await world.sent()
    attempt = await world.claim(generation)
    await world.service.endings.apply(generation.id, attempt, completed(attempt, "Hi."))
    before = await world.stored(generation.id)
    stopped = await world.service.handlers.generations.stop(world.owner, generation.id)
    assert stopped == before


async def test_a_lease_given_back_is_offered_at_once(world: Any) -> None:
    """R6."""
    generation = await world.sent()
    attempt = await world.claim(generation)
    await world.service.leases.release({generation.id: attempt})
    assert len(world.bus.published(events.InferenceRequested)) == 2
    assert await world.claim(generation, "worker-2") == attempt + 1


async def test_a_lease_given_back_at_the_last_attempt_ends_it(world: Any) -> None:
    generation = await world.sent()
    for _ in range(3):
        attempt = await world.claim(generation)
        await world.service.leases.release({generation.id: attempt})
    assert (await world.stored(generation.id)).state is State.FAILED


async def test_restarts_of_workers_use_up_no_attempt(world: Any) -> None:
    """R6: a lease handed back by a worker that shuts down is no failure, while a lost one still is."""
    generation = await world.sent()
    for expected in range(1, 8):
        assert await world.claim(generation) == expected
        await world.service.leases.release({generation.id: expected}, shutting_down=True)
        await world.service.sweep.tick()
        assert (await world.stored(generation.id)).state is State.QUEUED
    assert len(world.bus.published(events.InferenceRequested)) == 8
    for _ in range(3):
        await world.service.leases.release({generation.id: await world.claim(generation)})
    assert (await world.stored(generation.id)).state is State.FAILED


async def test_an_outdated_release_is_left_alone(world: Any) -> None:
    generation = await world.sent()
    attempt = await world.claim(generation)
    await world.service.leases.release({generation.id: attempt + 1, new_id(): 1})
    assert (await world.stored(generation.id)).state is State.RUNNING


async def test_one_failing_repair_does_not_stop_the_others(world: Any) -> None:
    first, second = await world.sent("one"), await world.sent("two")
    fence = world.live.raise_fence

    async def picky(generation_id: str, attempt: int) -> Any:
        if generation_id == first.id:
            raise RuntimeError("a bug")
        return await fence(generation_id, attempt)

    for generation in (first, second):
        await world.claim(generation)
    world.live.raise_fence = picky
    world.clock.advance(600)
    await world.service.sweep.tick()
    assert (await world.stored(first.id)).state is State.RUNNING
    assert (await world.stored(second.id)).state is State.EXPIRED
    world.live.raise_fence = fence
    await world.service.sweep.tick()
    assert (await world.stored(first.id)).state is State.EXPIRED


async def test_a_stream_that_was_lost_ends_without_text(world: Any) -> None:
    generation = await world.sent()
    attempt = await world.claim(generation)
    world.clock.advance(600)
    await world.service.sweep.tick()
    ended = await world.stored(generation.id)
    assert (ended.state, ended.answer_stored, ended.began_attempt) == (State.EXPIRED, False, attempt + 1)


async def test_a_sweep_that_starts_asks_again_for_all_that_waits(world: Any) -> None:
    """The bus of the embedded mode ends with the process, and with it what no worker had taken."""
    generation = await world.sent()
    sweep = asyncio.create_task(world.service.sweep.run())
    try:
        async with world.bus.subscribe([inference_topic("tiny")], "test") as requests:
            deliveries = [*await requests.fetch(2, 5)]
            deliveries += await requests.fetch(1, 5) if len(deliveries) < 2 else []
    finally:
        sweep.cancel()
        await asyncio.gather(sweep, return_exceptions=True)
    asked = [from_record(delivery.record) for delivery in deliveries]
    assert [it.generation_id for it in asked if isinstance(it, events.InferenceRequested)] == [generation.id] * 2

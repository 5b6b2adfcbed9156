"""What is taken off the bus, and when."""

from __future__ import annotations

import asyncio

from parley_bus.events import inference_topic
from parley_kit.errors import BadInput, Internal, Unavailable
from parley_kit.grpc import open_channel
from parley_proto.conversation.v1 import types_pb2 as types
from parley_proto.events.v1.events_pb2 import GenerationCompleted, InferenceRequested, PromptMessage
from parley_worker.adapters.grpc import GrpcCoordinator
from parley_worker.assignments import Assignment, Assignments, Stop
from parley_worker.claims import Claims
from parley_worker.testing.backends import ProbedBackend
from parley_worker.testing.platform import TOKEN, Platform

TOPIC = inference_topic("scripted")
GROUP = "parley-worker.scripted"


async def test_a_full_worker_leaves_requests_to_others(platform: Platform) -> None:
    full, other = ProbedBackend(interval_ms=60_000, capacity=2), ProbedBackend(interval_ms=60_000, capacity=3)
    async with platform.worker(full):
        for _ in range(40):
            await platform.ask()
        await full.until_running(2)
        async with platform.worker(other):
            await other.until_running(3)
            assert len(full.running) == 2
            assert not full.running & other.running
            assert len(platform.owner.claims) == 5


async def test_room_that_comes_free_is_used(platform: Platform) -> None:
    async with platform.worker(ProbedBackend(interval_ms=1, capacity=1)):
        asked = {await platform.ask(max_tokens=2) for _ in range(6)}
        assert {(await platform.end()).generation_id for _ in range(6)} == asked


async def test_a_model_that_does_not_run_takes_nothing(platform: Platform) -> None:
    backend = ProbedBackend()
    backend.ready = False
    async with platform.worker(backend) as worker:
        await platform.ask(max_tokens=1)
        await platform.owner.called.until(lambda: bool(platform.owner.heartbeats))
        assert not worker.ready
        assert platform.owner.claims == []
        backend.ready = True
        await platform.end()


async def test_what_does_not_decode_goes_to_the_dead_letters_and_blocks_nobody(platform: Platform) -> None:
    async with platform.worker(ProbedBackend()), platform.bus.subscribe([f"{TOPIC}.dlq"], "test") as dead:
        await platform.publish_raw(b"\xff\xff\xff")
        await platform.publish_raw(b"", ce_type="something.else")
        await platform.publish_raw(b"")
        await platform.ask(max_tokens=1)
        await platform.end()
        reasons = [delivery.record.headers["dlq_reason"] for delivery in await dead.fetch(10, timeout=5)]
    assert len(reasons) == 3
    assert all(reason.startswith("BAD_INPUT: ") for reason in reasons)


async def test_a_request_that_the_owner_cannot_judge_goes_to_the_dead_letters(platform: Platform) -> None:
    async with platform.worker(ProbedBackend()), platform.bus.subscribe([f"{TOPIC}.dlq"], "test") as dead:
        await platform.owner.called.until(lambda: bool(platform.owner.heartbeats))
        platform.owner.error = BadInput("not an id")
        await platform.ask()
        (delivery,) = await dead.fetch(1, timeout=5)
    assert delivery.record.headers["dlq_reason"] == "BAD_INPUT: not an id"


async def test_a_claim_is_asked_for_again_while_the_owner_is_away(platform: Platform) -> None:
    async with platform.worker(ProbedBackend()):
        await platform.owner.called.until(lambda: bool(platform.owner.heartbeats))
        platform.owner.error = Unavailable("restarting")
        generation_id = await platform.ask(max_tokens=1)
        await platform.owner.called.until(lambda: platform.owner.failed_claims >= 2)
        platform.owner.error = None
        assert (await platform.end()).generation_id == generation_id


async def test_a_request_whose_claim_had_no_answer_stays_on_the_bus(platform: Platform) -> None:
    async with platform.worker(ProbedBackend()):
        await platform.owner.called.until(lambda: bool(platform.owner.heartbeats))
        platform.owner.error = Unavailable("away")
        generation_id = await platform.ask(max_tokens=1)
        await platform.owner.called.until(lambda: platform.owner.failed_claims >= 1)
    platform.owner.error = None
    async with platform.worker(ProbedBackend()):
        assert (await platform.end()).generation_id == generation_id


async def test_a_request_that_waits_for_the_one_before_it_is_not_begun_by_a_worker_that_closes() -> None:
    assignments = Assignments()
    waiting = assignments.take("a")
    async with assignments.take("a") as first:
        assert first is not None
        first.stop(Stop.LOST)
        second = asyncio.create_task(waiting.__aenter__())
        await asyncio.sleep(0)
        assignments.stop_all(Stop.HANDED_BACK)
    held = await asyncio.wait_for(second, 5)
    assert held is not None
    assert held.stopping is Stop.HANDED_BACK
    await waiting.__aexit__(None, None, None)


async def test_a_worker_that_closes_claims_nothing_more(platform: Platform) -> None:
    clock, assignment = platform.clock, Assignment("a")
    assignment.stop(Stop.HANDED_BACK)
    async with open_channel(platform.address, TOKEN) as channel:
        claims = Claims(GrpcCoordinator(channel, "worker", clock), "scripted", clock)
        assert not await claims.claim(InferenceRequested(generation_id="a"), assignment)
    assert platform.owner.claims == []


async def test_a_refused_request_is_settled(platform: Platform) -> None:
    async with platform.worker(ProbedBackend()):
        generation_id = await platform.ask(max_tokens=1)
        await platform.end()
        await platform.offer(generation_id)
        await platform.owner.called.until(lambda: len(platform.owner.claims) == 2)
    async with platform.bus.subscribe([TOPIC], GROUP) as consumer:
        assert not await consumer.fetch(10, timeout=0)


async def test_a_request_that_is_offered_again_while_in_hand_is_answered_once(platform: Platform) -> None:
    backend = ProbedBackend()
    async with platform.worker(backend):
        generation_id = await platform.ask(max_tokens=30)
        await backend.until_running(1)
        await platform.offer(generation_id)
        event = await platform.end()
        assert isinstance(event, GenerationCompleted)
    assert len(platform.owner.claims) == 1
    assert await platform.no_end()


async def test_a_request_is_not_put_aside_for_what_is_wrong_with_the_owner(platform: Platform) -> None:
    """It is settled, hurts no other, and is answered when the owner, whole again, offers it again."""
    async with platform.worker(ProbedBackend()), platform.bus.subscribe([f"{TOPIC}.dlq"], "test") as dead:
        await platform.owner.called.until(lambda: bool(platform.owner.heartbeats))
        platform.owner.error = Internal("a bug")
        broken = await platform.ask(max_tokens=1)
        await platform.owner.called.until(lambda: platform.owner.failed_claims >= 1)
        platform.owner.error = None
        other = await platform.ask(max_tokens=1)
        assert (await platform.end()).generation_id == other
        await platform.offer(broken)
        assert (await platform.end()).generation_id == broken
        assert not await dead.fetch(1, timeout=0)
    async with platform.bus.subscribe([TOPIC], GROUP) as successor:
        assert not await successor.fetch(10, timeout=0)


async def test_a_deadline_that_is_no_time_goes_to_the_dead_letters(platform: Platform) -> None:
    request = InferenceRequested(generation_id="a", messages=[PromptMessage(role=types.ROLE_USER, content="hello")])
    request.deadline.seconds = 2**62
    async with platform.worker(ProbedBackend()), platform.bus.subscribe([f"{TOPIC}.dlq"], "test") as dead:
        await platform.publish_raw(request.SerializeToString())
        (delivery,) = await dead.fetch(1, timeout=5)
    assert "deadline" in delivery.record.headers["dlq_reason"]
    assert platform.owner.claims == []


async def test_a_request_that_breaks_its_own_handling_is_settled(platform: Platform) -> None:
    """By an error that is none of ours. Left owed it would hold back its partition."""
    async with platform.worker(ProbedBackend()):
        await platform.owner.called.until(lambda: bool(platform.owner.heartbeats))
        platform.owner.error = ZeroDivisionError("a bug")
        await platform.ask(max_tokens=1)
        await platform.owner.called.until(lambda: platform.owner.failed_claims >= 1)
        platform.owner.error = None
        await platform.ask(max_tokens=1)
        await platform.end()
    async with platform.bus.subscribe([TOPIC], GROUP) as successor:
        assert not await successor.fetch(10, timeout=0)

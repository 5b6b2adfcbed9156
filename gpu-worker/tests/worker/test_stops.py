"""Stop, deadline, failure: each frees the slot and says what was generated."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from parley_kit.errors import BadInput, DeadlineExceeded
from parley_proto.events.v1.events_pb2 import GenerationCancelled, GenerationFailed
from parley_worker.backends.scripted import ScriptedBackend
from parley_worker.core import Job
from parley_worker.endings import EXPIRED
from parley_worker.testing.backends import ProbedBackend, words
from parley_worker.testing.platform import Platform


async def test_a_stop_in_the_middle_keeps_what_was_generated(platform: Platform) -> None:
    async with platform.worker(ProbedBackend()):
        generation_id = await platform.ask(max_tokens=10_000)
        await platform.text_reaches(generation_id, len(words(0, 5)))
        stopped_at = time.perf_counter()
        await platform.live.cancel(generation_id)
        event = await platform.end()
        assert time.perf_counter() - stopped_at < 3.0
    assert isinstance(event, GenerationCancelled)
    assert event.text == words(0, event.usage.completion_tokens)
    assert event.usage.completion_tokens >= 5
    assert "".join(delta.text for delta in await platform.deltas(generation_id)) == event.text


async def test_a_stop_frees_the_slot_for_the_next(platform: Platform) -> None:
    """R5."""
    async with platform.worker(ProbedBackend(capacity=1)):
        first = await platform.ask(max_tokens=10_000)
        await platform.text_reaches(first, 1)
        second = await platform.ask(max_tokens=3)
        await platform.live.cancel(first)
        ends = [await platform.end(), await platform.end()]
    assert {event.generation_id: event.text for event in ends}[second] == words(0, 3)


async def test_a_stop_before_the_first_token_is_a_cancelled_answer_without_text(platform: Platform) -> None:
    backend = ProbedBackend(interval_ms=60_000)
    async with platform.worker(backend):
        generation_id = await platform.ask()
        await backend.until_running(1)
        await platform.live.cancel(generation_id)
        event = await platform.end()
        await backend.until_running(0)
    assert isinstance(event, GenerationCancelled)
    assert (event.generation_id, event.text) == (generation_id, "")


async def test_a_stop_while_the_claim_is_on_its_way_is_not_missed(platform: Platform) -> None:
    async with platform.worker(ScriptedBackend(60_000)):
        platform.owner.before_claim = platform.live.cancel
        generation_id = await platform.ask()
        event = await platform.end()
    assert isinstance(event, GenerationCancelled)
    assert event.generation_id == generation_id


async def test_a_stop_whose_signal_was_missed_comes_with_the_heartbeat(platform: Platform) -> None:
    async with platform.worker(ProbedBackend()):
        generation_id = await platform.ask(max_tokens=10_000)
        await platform.text_reaches(generation_id, 1)
        platform.owner.generations[generation_id].cancelled = True
        event = await platform.end()
    assert isinstance(event, GenerationCancelled)
    assert event.generation_id == generation_id


async def test_a_lost_lease_is_dropped_in_silence(platform: Platform) -> None:
    backend = ProbedBackend()
    async with platform.worker(backend):
        generation_id = await platform.ask(max_tokens=10_000)
        await platform.text_reaches(generation_id, 1)
        platform.owner.generations[generation_id].holder = "somebody else"
        await backend.until_running(0)
    assert await platform.no_end()
    assert platform.owner.released == []


async def test_the_deadline_ends_an_answer(platform: Platform) -> None:
    backend = ProbedBackend()
    async with platform.worker(backend):
        generation_id = await platform.ask(seconds=3.0, max_tokens=10_000)
        event = await platform.end()
        await backend.until_running(0)
    assert isinstance(event, GenerationFailed)
    assert (event.generation_id, event.failure.code) == (generation_id, "DEADLINE_EXCEEDED")
    assert event.text == words(0, event.usage.completion_tokens) != ""


def bad(job: Job, made: int) -> None:
    raise BadInput("top_p must be from 0 to 1", field="top_p")


def broken(job: Job, made: int) -> None:
    if made == 3:
        raise RuntimeError("secret internals")


@pytest.mark.parametrize(
    ("check", "code", "message", "tokens"),
    [(bad, "BAD_INPUT", "top_p must be from 0 to 1", 0), (broken, "INTERNAL", "the model failed on this request", 3)],
)
async def test_a_request_that_the_model_fails_on_is_a_failed_answer(
    platform: Platform, check: Callable[[Job, int], None], code: str, message: str, tokens: int
) -> None:
    async with platform.worker(ProbedBackend(check)):
        await platform.ask()
        event = await platform.end()
    assert isinstance(event, GenerationFailed)
    assert (event.failure.code, event.failure.message, event.text) == (code, message, words(0, tokens))


async def test_a_deadline_that_the_engine_saw_first_ends_as_any_other(platform: Platform) -> None:
    def passes(job: Job, made: int) -> None:
        if made == 4:
            raise DeadlineExceeded("the engine's words")

    async with platform.worker(ProbedBackend(passes)):
        await platform.ask()
        event = await platform.end()
    assert isinstance(event, GenerationFailed)
    assert (event.failure.code, event.failure.message) == (EXPIRED.code, EXPIRED.message)
    assert event.text == words(0, 4)
    assert platform.owner.released == []

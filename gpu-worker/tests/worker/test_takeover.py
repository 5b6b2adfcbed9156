"""Another worker goes on where the stream stopped, and the one before can write nothing more."""

from __future__ import annotations

import asyncio

import pytest

from parley_kit.errors import BadInput, Unavailable
from parley_live.base import Delta
from parley_proto.events.v1.events_pb2 import GenerationCompleted
from parley_worker.backends.scripted import ScriptedBackend
from parley_worker.consumer import READY_POLL_SECONDS
from parley_worker.core import Job
from parley_worker.testing.backends import ProbedBackend, words
from parley_worker.testing.platform import Platform
from parley_worker.testing.streams import joined

TOKENS = 60


async def test_a_worker_that_closes_hands_its_answer_back_and_another_goes_on_exactly(platform: Platform) -> None:
    async with platform.worker(ScriptedBackend(2)):
        generation_id = await platform.ask(max_tokens=TOKENS)
        await platform.text_reaches(generation_id, len(words(0, 10)))
    assert platform.owner.released == platform.owner.shut_down == [generation_id]
    async with platform.worker(ScriptedBackend(2)):
        event = await platform.end()
    assert isinstance(event, GenerationCompleted)
    assert (event.text, event.attempt, event.began_attempt) == (words(0, TOKENS), 2, 1)
    assert event.usage.completion_tokens == TOKENS
    deltas = await platform.deltas(generation_id)
    assert joined(deltas) == event.text
    assert [token for delta in deltas for token in delta.token_ids] == list(range(TOKENS))
    assert {delta.began for delta in deltas} == {1}
    assert {delta.attempt for delta in deltas} == {1, 2}


async def test_an_answer_begins_again_when_its_stream_is_lost(platform: Platform) -> None:
    async with platform.worker(ScriptedBackend(2)):
        generation_id = await platform.ask(max_tokens=TOKENS)
        await platform.text_reaches(generation_id, 1)
    platform.lose_streams()
    async with platform.worker(ScriptedBackend(1)):
        event = await platform.end()
    assert (event.text, event.attempt, event.began_attempt) == (words(0, TOKENS), 2, 2)
    assert {delta.began for delta in await platform.deltas(generation_id)} == {2}


async def test_a_stream_that_is_lost_under_a_running_worker_is_begun_again_at_once(platform: Platform) -> None:
    async with platform.worker(ScriptedBackend(2)):
        generation_id = await platform.ask(max_tokens=TOKENS)
        await platform.text_reaches(generation_id, 1)
        platform.lose_streams()
        event = await platform.end()
    assert (event.text, event.attempt, event.began_attempt) == (words(0, TOKENS), 2, 2)


async def test_an_answer_that_the_model_cannot_continue_begins_again(platform: Platform) -> None:
    async with platform.worker(ScriptedBackend(2)):
        generation_id = await platform.ask(max_tokens=TOKENS)
        await platform.text_reaches(generation_id, 1)

    def refuses(job: Job, made: int) -> None:
        if job.resume.token_ids:
            raise BadInput("not of this model", field="resume")

    async with platform.worker(ProbedBackend(refuses)):
        event = await platform.end()
    assert (event.text, event.attempt, event.began_attempt) == (words(0, TOKENS), 2, 2)


async def test_a_fenced_worker_writes_nothing_more(platform: Platform) -> None:
    """R4: from raise_fence on there is no delta and no terminal event of the older attempt."""
    backend = ProbedBackend()
    async with platform.worker(backend):
        generation_id = await platform.ask(max_tokens=10_000)
        await platform.text_reaches(generation_id, 1)
        platform.owner.generations[generation_id].attempt = 2  # somebody else has it
        streamed = await platform.live.raise_fence(generation_id, 2)
        await backend.until_running(0)
    assert await platform.deltas(generation_id) == streamed
    assert await platform.no_end()
    assert platform.owner.released == []


async def test_a_worker_that_renewed_nothing_for_the_time_of_a_lease_writes_nothing_more(platform: Platform) -> None:
    """Also where nobody has raised the fence yet, as in a process that was paused."""
    platform.owner.lease_seconds = 1.8  # less than the time between two heartbeats
    backend = ProbedBackend()
    async with platform.worker(backend):
        generation_id = await platform.ask(max_tokens=10_000)
        await platform.text_reaches(generation_id, 1)
        await backend.until_running(0)
        assert await platform.no_end()


async def test_an_engine_that_dies_gives_the_answer_back(platform: Platform) -> None:
    def dies(job: Job, made: int) -> None:
        if made == 10 and not job.resume.token_ids:
            raise Unavailable("the engine died")

    async with platform.worker(ProbedBackend(dies)):
        generation_id = await platform.ask(max_tokens=TOKENS)
        event = await platform.end()
    assert platform.owner.released == [generation_id]
    assert platform.owner.shut_down == []  # it counts as an attempt
    assert (event.text, event.attempt, event.began_attempt) == (words(0, TOKENS), 2, 1)


async def test_while_the_engine_starts_again_no_attempt_is_spent(platform: Platform) -> None:
    def dies(job: Job, made: int) -> None:
        if made == 10 and not job.resume.token_ids:
            backend.ready = False
        if not backend.ready:
            raise Unavailable("the engine is not running")

    backend = ProbedBackend(dies)
    async with platform.worker(backend):
        generation_id = await platform.ask(max_tokens=TOKENS)
        await platform.owner.called.until(lambda: bool(platform.owner.released))
        await asyncio.sleep(3 * READY_POLL_SECONDS)  # the request is there again: nothing is to come of it
        assert platform.owner.generations[generation_id].attempt == 1
        backend.ready = True
        event = await platform.end()
    assert (event.text, event.attempt, event.began_attempt) == (words(0, TOKENS), 2, 1)


@pytest.mark.parametrize("streamed", [0, 1, 7])
async def test_a_stop_before_the_first_token_keeps_what_an_earlier_attempt_streamed(
    platform: Platform, streamed: int
) -> None:
    generation_id = await platform.ask()
    await platform.live.raise_fence(generation_id, 1)
    platform.owner.generations[generation_id].attempt = 1
    if streamed:
        text = words(0, streamed)
        await platform.live.append(generation_id, [Delta(1, 1, 0, text, tuple(range(streamed)))])
    async with platform.worker(ScriptedBackend(60_000)):
        await platform.owner.called.until(lambda: bool(platform.owner.claims))
        await platform.live.cancel(generation_id)
        event = await platform.end()
    assert event.text == words(0, streamed)

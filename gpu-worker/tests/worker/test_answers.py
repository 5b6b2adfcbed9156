"""A request becomes a stream and one terminal event."""

from __future__ import annotations

import time

import pytest

from parley_proto.conversation.v1 import types_pb2 as types
from parley_proto.events.v1.events_pb2 import GenerationCompleted
from parley_worker.backends.scripted import ScriptedBackend
from parley_worker.core import Job
from parley_worker.testing.backends import ProbedBackend, words
from parley_worker.testing.platform import Platform


async def test_an_answer_is_streamed_and_completed_with_its_whole_text(platform: Platform) -> None:
    async with platform.worker(ScriptedBackend(1)):
        generation_id = await platform.ask(max_tokens=50)
        event = await platform.end()
    assert isinstance(event, GenerationCompleted)
    assert (event.generation_id, event.attempt, event.began_attempt) == (generation_id, 1, 1)
    assert event.text == words(0, 50)
    assert event.finish_reason == types.FINISH_REASON_LENGTH
    assert event.usage == types.Usage(prompt_tokens=1, completion_tokens=50)
    deltas = await platform.deltas(generation_id)
    assert "".join(delta.text for delta in deltas) == event.text
    assert [token for delta in deltas for token in delta.token_ids] == list(range(50))


async def test_the_first_token_goes_out_alone_and_later_ones_are_joined(platform: Platform) -> None:
    async with platform.worker(ScriptedBackend(2)):
        generation_id = await platform.ask(max_tokens=60)
        await platform.end()
    deltas = await platform.deltas(generation_id)
    assert deltas[0].text == "w0 "
    assert 1 < len(deltas) < 50


async def test_the_backend_is_told_whose_turn_it_is_and_until_when(platform: Platform) -> None:
    jobs: list[Job] = []
    async with platform.worker(ProbedBackend(lambda job, made: jobs.append(job))):
        now = time.monotonic()
        await platform.ask(user="sarah", seconds=30.0, max_tokens=1)
        await platform.end()
    assert jobs[0].user == "sarah"
    assert jobs[0].deadline == pytest.approx(now + 30.0, abs=3.0)

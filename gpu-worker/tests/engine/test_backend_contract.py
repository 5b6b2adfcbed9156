"""What every backend guarantees, on the scripted one and on our own engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import pytest
import pytest_asyncio

from parley_kit.errors import BadInput
from parley_worker.backends.base import Backend
from parley_worker.backends.scripted import ScriptedBackend
from parley_worker.backends.torch import open_torch_backend
from parley_worker.config import EngineConfig
from parley_worker.core import ChatMessage, Chunk, FinishReason, Job, Prefix, SamplingParams, Usage

CAPACITY = 3
NOTHING = Prefix()
HELLO = (ChatMessage("user", "hello there"),)

pytestmark = pytest.mark.asyncio(loop_scope="module")


def open_scripted(checkpoint: Path) -> AbstractAsyncContextManager[Backend]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Backend]:
        yield ScriptedBackend(interval_ms=1, capacity=CAPACITY)

    return opened()


def open_torch(checkpoint: Path) -> AbstractAsyncContextManager[Backend]:
    return open_torch_backend(EngineConfig(checkpoint, capacity=CAPACITY, threads=1))


@pytest_asyncio.fixture(params=[open_scripted, open_torch], loop_scope="module", scope="module")
async def backend(request: pytest.FixtureRequest, wide_checkpoint: Path) -> AsyncIterator[Backend]:
    async with request.param(wide_checkpoint) as opened:
        yield opened


def job(max_tokens: int = 12, *, resume: Prefix = NOTHING, stop: tuple[str, ...] = (), seed: int = 3) -> Job:
    params = SamplingParams(max_tokens=max_tokens, temperature=1.0, seed=seed, stop=stop, ignore_eos=True)
    return Job("job", HELLO, params, resume)


async def collect(backend: Backend, work: Job) -> list[Chunk]:
    return [chunk async for chunk in backend.generate(work)]


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def tokens_of(chunks: list[Chunk]) -> tuple[int, ...]:
    return sum((chunk.token_ids for chunk in chunks), ())


def held_at(chunks: list[Chunk], tokens: int) -> Prefix:
    """What a store holds with so many tokens, however they came; the text may lag behind."""
    ends = accumulate(len(chunk.token_ids) for chunk in chunks)
    shown = [chunk for chunk, end in zip(chunks, ends, strict=True) if end < tokens]
    return Prefix(tokens_of(chunks)[:tokens], text_of(shown))


def counts_of(chunks: list[Chunk]) -> Usage | None:
    """The usage, whatever was found in a cache."""
    usage = chunks[-1].usage
    return usage and replace(usage, cached_tokens=0)


async def test_an_answer_ends_with_one_finish_reason_and_its_usage(backend: Backend) -> None:
    chunks = await collect(backend, job(12))
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == [FinishReason.LENGTH]
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens == len(tokens_of(chunks)) == 12
    assert chunks[-1].usage.prompt_tokens > 0
    assert chunks[0].usage == replace(chunks[-1].usage, completion_tokens=len(chunks[0].token_ids))
    assert all(chunk.usage is None for chunk in chunks[1:-1])


async def test_the_same_seed_says_the_same_alone_and_among_others(backend: Backend) -> None:
    alone = await collect(backend, job(20))
    together = await asyncio.gather(*(collect(backend, job(20, seed=seed)) for seed in (3, 4, 3, 5, 3)))
    for other in together[::2]:
        assert (text_of(other), tokens_of(other)) == (text_of(alone), tokens_of(alone))


@pytest.mark.parametrize("stops", [False, True])
async def test_a_resumed_answer_equals_an_uninterrupted_one(backend: Backend, stops: bool) -> None:
    plain = await collect(backend, job(20))
    stop = (text_of(plain)[-6:-3],) if stops else ()
    whole = await collect(backend, job(20, stop=stop))
    for tokens in range(len(tokens_of(whole)) + 1):
        streamed = held_at(whole, tokens)
        rest = await collect(backend, job(20, resume=streamed, stop=stop))
        assert streamed.text + text_of(rest) == text_of(whole)
        assert streamed.token_ids + tokens_of(rest) == tokens_of(whole)
        assert rest[-1].finish_reason == whole[-1].finish_reason
        assert counts_of(rest) == counts_of(whole)


async def test_text_ends_before_a_stop_string_and_tokens_with_the_one_that_completed_it(backend: Backend) -> None:
    plain = await collect(backend, job(20))
    text = text_of(plain)
    # Half a code point at the end of an answer reads as U+FFFD: no good stop string to compare two lengths by.
    stop = next(part for at in range(len(text) // 2, len(text)) if "\ufffd" not in (part := text[at : at + 2]))
    chunks = await collect(backend, job(20, stop=("never said", stop)))
    assert text_of(chunks) == text[: text.find(stop)]
    assert chunks[-1].finish_reason is FinishReason.STOP
    count = len(tokens_of(chunks))
    assert tokens_of(chunks) == tokens_of(plain)[:count]
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens == count
    shorter = await collect(backend, job(count - 1))
    assert stop not in text_of(shorter)


async def test_a_job_over_the_capacity_waits_until_closing_an_iterator_frees_a_slot(backend: Backend) -> None:
    endless = [backend.generate(job(50_000)) for _ in range(CAPACITY)]
    for answer in endless:
        await anext(answer)
    waiting = asyncio.create_task(collect(backend, job(2)))
    for _ in range(20):
        await anext(endless[0])
    assert not waiting.done()
    for answer in endless:
        await answer.aclose()
    assert len(tokens_of(await asyncio.wait_for(waiting, 5))) == 2


async def test_jobs_over_the_capacity_wait_in_order_of_arrival(backend: Backend) -> None:
    finished: list[int] = []

    async def run(number: int) -> None:
        await collect(backend, job(6))
        finished.append(number)

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for number in range(3 * CAPACITY):
            group.create_task(run(number))
    waves = [sorted(finished[start : start + CAPACITY]) for start in range(0, 3 * CAPACITY, CAPACITY)]
    assert waves == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


async def test_many_more_jobs_than_slots_all_end(backend: Backend) -> None:
    async with asyncio.timeout(30):
        answers = await asyncio.gather(*(collect(backend, job(1 + number % 9, seed=number)) for number in range(40)))
    assert [len(tokens_of(chunks)) for chunks in answers] == [1 + number % 9 for number in range(40)]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        (SamplingParams(max_tokens=0), "max_tokens"),
        (SamplingParams(temperature=-0.1), "temperature"),
        (SamplingParams(temperature=float("nan")), "temperature"),
        (SamplingParams(top_p=1.01), "top_p"),
        (SamplingParams(top_k=-1), "top_k"),
        (SamplingParams(repetition_penalty=0.0), "repetition_penalty"),
        (SamplingParams(stop=("a",) * 9), "stop"),
        (SamplingParams(stop=("",)), "stop"),
    ],
)
async def test_parameters_out_of_range_are_refused_by_name(
    backend: Backend, params: SamplingParams, field: str
) -> None:
    with pytest.raises(BadInput) as caught:
        await collect(backend, replace(job(), params=params))
    assert caught.value.field == field


async def test_a_prefix_whose_text_is_not_that_of_its_tokens_is_refused(backend: Backend) -> None:
    whole = await collect(backend, job(6))
    with pytest.raises(BadInput) as caught:
        await collect(backend, job(6, resume=Prefix(tokens_of(whole)[:3], "something else")))
    assert caught.value.field == "resume"


async def test_an_abandoned_answer_leaves_nothing_behind(backend: Backend) -> None:
    async with aclosing(backend.generate(job(50_000))) as answer:
        await anext(answer)
    assert len(tokens_of(await collect(backend, job(5)))) == 5

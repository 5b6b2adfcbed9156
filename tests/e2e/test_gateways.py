"""Two gateways, two workers: what one gateway did is seen at the other, and a worker's death only by the clock."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest
from support.cluster import Cluster
from support.graphql import Json, events, open_http, text_of
from support.people import DELETE, ME, REFRESH, SIGN_OUT, STOP, Person, person_of, scripted, sign_up

pytestmark = pytest.mark.timeout(180)
TOKENS = 400
ANSWERS = 14
"""As many as a user may have, nearly: by chance alone one of two workers has them all once in eight thousand times."""


@pytest.fixture
async def pair(cluster: Cluster) -> AsyncIterator[tuple[Person, Person]]:
    """One user at each of the gateways, with the same session."""
    async with open_http(cluster.urls[0]) as here, open_http(cluster.urls[1]) as there:
        ada = await sign_up(here)
        yield ada, replace(ada, http=there)


async def test_what_is_written_at_one_gateway_is_read_at_the_other(pair: tuple[Person, Person]) -> None:
    here, there = pair
    for number in range(10):
        conversation = await here.create(title=f"Chat {number}")
        sent = await there.send(conversation, "Hello", parameters={"maxTokens": 2})
        assert (await here.messages(conversation))[0]["id"] == sent["userMessage"]["id"]
        await here.answer(sent["generation"]["id"])
        assert [it["content"] for it in await there.messages(conversation)] == ["Hello", scripted(2)]
        assert await here.data(DELETE, id=conversation)
        assert await there.code(DELETE, id=conversation) == "NOT_FOUND"


@pytest.mark.parametrize("transports", [("ws", "sse"), ("sse", "ws")], ids="-".join)
async def test_a_reader_goes_on_at_the_other_gateway(pair: tuple[Person, Person], transports: tuple[str, str]) -> None:
    here, there = pair
    sent = await here.send(await here.create(), "Hello", parameters={"maxTokens": TOKENS})
    generation = sent["generation"]["id"]
    async with aclosing(events(transports[0], here.http.url, here.token, generation)) as first:
        seen = [await anext(first)]
    held = seen[-1]["offset"] + len(seen[-1]["text"])
    rest = events(transports[1], there.http.url, there.token, generation, after=held, attempt=seen[-1]["attempt"])
    seen += [event async for event in rest]
    assert text_of(seen) == scripted(TOKENS)


async def test_a_stop_at_the_other_gateway_ends_it(pair: tuple[Person, Person]) -> None:
    here, there = pair
    sent = await here.send(await here.create(), "Hello", parameters={"maxTokens": 10_000})
    seen = list[Json]()
    async for event in events("ws", here.http.url, here.token, sent["generation"]["id"]):
        if not seen:
            await there.data(STOP, id=sent["generation"]["id"])
        seen.append(event)
    assert seen[-1]["finishReason"] == "CANCELLED"
    assert text_of(seen) == seen[-1]["message"]["content"]


async def test_a_session_that_ends_at_one_gateway_has_ended_at_the_other(pair: tuple[Person, Person]) -> None:
    here, there = pair
    renewed = person_of(there.http, (await there.http.data(REFRESH, {"token": there.refresh_token}))["session"])
    assert (await here.data(ME)) == (await renewed.data(ME))
    await here.http.data(SIGN_OUT, {"token": renewed.refresh_token})
    assert await renewed.code(ME) == "UNAUTHENTICATED"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
async def test_answers_go_on_at_the_exact_token_when_their_worker_ends(
    cluster: Cluster, pair: tuple[Person, Person], number: signal.Signals
) -> None:
    """Both workers have some: those of the one that ends are told apart by nothing but a pause."""
    here, there = pair
    probes = f"http://127.0.0.1:{cluster.port_of('worker-1')}"
    await asyncio.to_thread(cluster.wait_until_ready, url=probes)  # after the kill before this
    sent = [await here.send(await here.create(), "Hello", parameters={"maxTokens": 1500}) for _ in range(ANSWERS)]
    started = asyncio.Barrier(len(sent) + 1)

    async def read(generation: str, url: str) -> list[Json]:
        seen = list[Json]()
        async for event in events("ws", url, here.token, generation):
            if not seen:
                await started.wait()
            seen.append(event)
        return seen

    urls = [here.http.url, there.http.url]
    async with asyncio.TaskGroup() as running:
        reading = [running.create_task(read(it["generation"]["id"], urls[n % 2])) for n, it in enumerate(sent)]
        await started.wait()
        cluster.signal("worker-1", number)
    for task in reading:
        assert text_of(task.result()) == scripted(1500)
        assert not any(event["__typename"] == "GenerationRestarted" for event in task.result())
    attempts = [(await here.generation(it["generation"]["id"]))["attempt"] for it in sent]
    assert set(attempts) == {1, 2}, "every answer was with one worker, so this proved nothing"

"""The subscription as a client sees it, on a live stream and on what is stored."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from parley_gateway.testing.socket import Client, connect
from parley_gateway.testing.stack import Stack
from parley_live.base import Delta
from parley_proto.conversation.v1 import types_pb2

QUERY = """subscription($id: ID!, $after: Int, $attempt: Int) { generation(id: $id, after: $after, attempt: $attempt) {
    __typename
    ... on TokenDelta { offset text attempt }
    ... on GenerationRestarted { attempt }
    ... on GenerationFinished { state finishReason message { content generation { id } } usage { completionTokens }
      error { code } }
} }"""


async def subscribe(stack: Stack, **variables: Any) -> list[dict[str, Any]]:
    """All the events of a new subscription, from a socket of its own."""
    async with connect(stack.port) as client:
        await client.init(stack.token)
        await client.subscribe(QUERY, variables)
        return await events(client)


async def events(client: Client) -> list[dict[str, Any]]:
    *frames, last = await client.until_end()
    assert last["type"] == "complete", last
    return [frame["payload"]["data"]["generation"] for frame in frames]


def told(found: list[dict[str, Any]], held: str = "") -> str:
    """What a client that held a text holds after the events; every delta must fit."""
    for event in found:
        if event["__typename"] == "GenerationRestarted":
            held = ""
        elif event["__typename"] == "TokenDelta":
            assert event["offset"] == len(held)
            assert event["text"]
            held += event["text"]
    return held


async def end(stack: Stack, generation: types_pb2.Generation, text: str) -> None:
    stack.conversations.finish(generation, text)
    await stack.live.end(generation.id)


async def test_tokens_come_as_they_are_written(stack: Stack) -> None:
    generation = stack.conversations.add_generation(stack.user.id)
    async with connect(stack.port) as client:
        await client.init(stack.token)
        await client.subscribe(QUERY, {"id": generation.id})
        await stack.live.raise_fence(generation.id, 1)
        for offset, text in ((0, "\U0001f600 "), (2, "is "), (5, "one")):
            await stack.live.append(generation.id, [Delta(1, 1, offset, text)])
            event = (await client.receive())["payload"]["data"]["generation"]
            assert event == {"__typename": "TokenDelta", "offset": offset, "text": text, "attempt": 1}
        await end(stack, generation, "\U0001f600 is one")
        assert await events(client) == [
            {
                "__typename": "GenerationFinished",
                "state": "COMPLETED",
                "finishReason": "STOP",
                "message": {"content": "\U0001f600 is one", "generation": {"id": generation.id}},
                "usage": {"completionTokens": 2},
                "error": None,
            }
        ]


@pytest.mark.parametrize("after", range(9))
async def test_live_and_stored_readers_get_the_same_from_any_offset(stack: Stack, after: int) -> None:
    text = "\U0001f600a\u00e9bc\u0301"
    generation = stack.conversations.add_generation(stack.user.id)
    await stack.live.raise_fence(generation.id, 1)
    await stack.live.append(generation.id, [Delta(1, 1, 0, text[:2]), Delta(1, 1, 2, text[2:])])
    live = asyncio.create_task(subscribe(stack, id=generation.id, after=after))
    await stack.conversations.until_called("GetGeneration")
    await end(stack, generation, text)
    stored = await subscribe(stack, id=generation.id, after=after, attempt=1)
    assert await live == stored
    assert told(stored, text[:after].ljust(after)) == text.ljust(after)
    assert [event["__typename"] for event in stored].count("GenerationFinished") == 1


async def test_what_is_waiting_comes_in_one_piece(stack: Stack) -> None:
    generation = stack.conversations.add_generation(stack.user.id)
    await stack.live.raise_fence(generation.id, 1)
    for offset in range(100):
        await stack.live.append(generation.id, [Delta(1, 1, offset, "x")])
    stack.conversations.finish(generation, "x" * 100)
    generation.state = types_pb2.GENERATION_STATE_RUNNING
    reading = asyncio.create_task(subscribe(stack, id=generation.id))
    await stack.conversations.until_called("GetGeneration")
    generation.state = types_pb2.GENERATION_STATE_COMPLETED
    await stack.live.end(generation.id)
    found = await reading
    assert len(found) == 2
    assert told(found) == "x" * 100


@pytest.mark.parametrize(
    ("after", "attempt", "began", "restarted"),
    [
        (0, None, 1, False),
        (2, None, 1, False),
        (2, 1, 1, False),
        (2, 3, 1, False),
        (0, None, 3, False),
        (2, None, 3, True),
        (2, 2, 3, True),
        (0, 2, 3, True),
        (2, 3, 3, False),
    ],
)
async def test_who_is_told_of_a_restart(
    stack: Stack, after: int, attempt: int | None, began: int, restarted: bool
) -> None:
    generation = stack.conversations.add_generation(stack.user.id)
    generation.attempt, generation.began_attempt = 3, began
    await stack.live.raise_fence(generation.id, 3)
    await stack.live.append(generation.id, [Delta(3, began, 0, "text")])
    live = asyncio.create_task(subscribe(stack, id=generation.id, after=after, attempt=attempt))
    await stack.conversations.until_called("GetGeneration")
    await end(stack, generation, "text")
    stored = await subscribe(stack, id=generation.id, after=after, attempt=attempt)
    assert await live == stored
    assert (stored[0] == {"__typename": "GenerationRestarted", "attempt": 3}) is restarted
    assert told(stored, "text"[:after]) == "text"


async def test_a_stream_that_is_lost_and_begun_anew(stack: Stack) -> None:
    generation = stack.conversations.add_generation(stack.user.id)
    await stack.live.raise_fence(generation.id, 1)
    await stack.live.append(generation.id, [Delta(1, 1, 0, "old text")])
    async with connect(stack.port) as client:
        await client.init(stack.token)
        await client.subscribe(QUERY, {"id": generation.id})
        await client.receive()
        await stack.live.raise_fence(generation.id, 2)
        await stack.live.append(generation.id, [Delta(2, 2, 0, "new")])
        generation.attempt = generation.began_attempt = 2
        await end(stack, generation, "new")
        found = await events(client)
    assert found[0] == {"__typename": "GenerationRestarted", "attempt": 2}
    assert told(found, "old text") == "new"


async def test_a_gap_in_the_stream_is_filled_from_the_store(stack: Stack) -> None:
    generation = stack.conversations.add_generation(stack.user.id)
    await stack.live.raise_fence(generation.id, 1)
    await stack.live.append(generation.id, [Delta(1, 1, 0, "ab"), Delta(1, 1, 3, "de")])
    reading = asyncio.create_task(subscribe(stack, id=generation.id))
    await stack.conversations.until_called("GetGeneration")
    stack.conversations.finish(generation, "abcde")
    assert told(await reading) == "abcde"


async def test_a_stream_that_never_comes(stack: Stack) -> None:
    """The owner of the generation is asked when the stream is silent."""
    generation = stack.conversations.add_generation(stack.user.id)
    reading = asyncio.create_task(subscribe(stack, id=generation.id))
    await stack.conversations.until_called("GetGeneration")
    stack.conversations.finish(generation, "from the log")
    assert told(await reading) == "from the log"


@pytest.mark.parametrize(
    ("state", "failure", "code"),
    [
        (types_pb2.GENERATION_STATE_FAILED, types_pb2.Failure(code="OVERLOADED", message="m"), "OVERLOADED"),
        (types_pb2.GENERATION_STATE_FAILED, None, "INTERNAL"),
        (types_pb2.GENERATION_STATE_EXPIRED, None, "DEADLINE_EXCEEDED"),
        (types_pb2.GENERATION_STATE_CANCELLED, None, None),
    ],
)
async def test_endings_without_an_answer(
    stack: Stack, state: types_pb2.GenerationState.ValueType, failure: types_pb2.Failure | None, code: str | None
) -> None:
    generation = stack.conversations.add_generation(stack.user.id)
    generation.state = state
    generation.finish_reason = types_pb2.FINISH_REASON_ERROR
    if failure is not None:
        generation.failure.CopyFrom(failure)
    (finished,) = await subscribe(stack, id=generation.id)
    assert (await subscribe(stack, id=generation.id, after=5))[0]["__typename"] == "GenerationRestarted"
    assert finished["message"] is None
    assert (finished["error"] or {"code": None})["code"] == code


@pytest.mark.parametrize(
    ("variables", "code"),
    [({"after": -1}, "BAD_INPUT"), ({"attempt": -1}, "BAD_INPUT"), ({"id": "x"}, "BAD_INPUT"), ({}, "NOT_FOUND")],
)
async def test_refusals(stack: Stack, variables: dict[str, Any], code: str) -> None:
    generation = stack.conversations.add_generation("somebody else")
    async with connect(stack.port) as client:
        await client.init(stack.token)
        await client.subscribe(QUERY, {"id": generation.id, **variables})
        (frame,) = await client.until_end()
        assert (frame["type"], frame["payload"][0]["extensions"]["code"]) == ("error", code)


async def test_a_generation_that_is_deleted_meanwhile(stack: Stack) -> None:
    generation = stack.conversations.add_generation(stack.user.id)
    async with connect(stack.port) as client:
        await client.init(stack.token)
        await client.subscribe(QUERY, {"id": generation.id})
        await stack.conversations.until_called("GetGeneration")
        del stack.conversations.generations[generation.id]
        frames = await client.until_end()
        assert frames[0]["payload"]["errors"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_a_slow_reader_gets_everything_late(stack: Stack) -> None:
    generation = stack.conversations.add_generation(stack.user.id)
    piece, count = "x" * 65_536, 250
    await stack.live.raise_fence(generation.id, 1)
    async with connect(stack.port, max_queue=1) as client:
        await client.init(stack.token)
        await client.subscribe(QUERY, {"id": generation.id})
        await stack.conversations.until_called("GetGeneration")
        for number in range(count):
            await stack.live.append(generation.id, [Delta(1, 1, number * len(piece), piece)])
            await asyncio.sleep(0)
        await end(stack, generation, "the log is not asked")
        found = await events(client)
    assert len(told(found)) == count * len(piece)
    assert found[-1]["__typename"] == "GenerationFinished"

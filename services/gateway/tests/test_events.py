"""graphql-sse in distinct-connections mode, line by line."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from parley_gateway.entrypoints import sse
from parley_gateway.entrypoints.pacing import running
from parley_gateway.testing.events import SseEvent, open_events, parse_events
from parley_gateway.testing.stack import Stack, open_stack
from parley_live.base import Delta

SUBSCRIPTION = "subscription($id: ID!) { generation(id: $id) { __typename ... on TokenDelta { text } } }"


async def collect(stack: Stack, query: str, variables: dict[str, Any] | None = None) -> list[SseEvent]:
    async with open_events(stack, query, variables) as events:
        return [event async for event in events]


async def test_the_lines_of_a_stream(stack: Stack) -> None:
    generation = stack.conversations.add_generation(stack.user.id)
    stack.conversations.finish(generation, "hi")
    headers = {"authorization": f"Bearer {stack.token}"}
    reply = await stack.http.post(
        "/graphql/stream", json={"query": SUBSCRIPTION, "variables": {"id": generation.id}}, headers=headers
    )
    assert reply.text == (
        ":\n\n"
        'event: next\ndata: {"data":{"generation":{"__typename":"TokenDelta","text":"hi"}}}\n\n'
        'event: next\ndata: {"data":{"generation":{"__typename":"GenerationFinished"}}}\n\n'
        "event: complete\ndata: \n\n"
    )
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-accel-buffering"] == "no"


async def test_queries_and_mutations_too(stack: Stack) -> None:
    assert await collect(stack, "{ me { email } }") == [
        ("", ""),
        ("next", {"data": {"me": {"email": "ada@example.org"}}}),
        ("complete", ""),
    ]
    events = await collect(stack, 'mutation { createConversation(input: {title: "t"}) { title } }')
    assert events[1] == ("next", {"data": {"createConversation": {"title": "t"}}})


async def test_get(stack: Stack) -> None:
    params = {"query": "{ __typename }"}
    assert (await stack.http.get("/graphql/stream", params=params)).status_code == 403
    reply = await stack.http.get("/graphql/stream", params=params, headers={"x-requested-with": "test"})
    assert 'data: {"data":{"__typename":"Query"}}' in reply.text
    mutation = {"query": "mutation { __typename }"}
    reply = await stack.http.get("/graphql/stream", params=mutation, headers={"x-requested-with": "test"})
    assert reply.status_code == 405


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        ('{"query": "{"}', 400, "GRAPHQL_PARSE_FAILED"),
        ('{"query": "{ nothing }"}', 400, "GRAPHQL_VALIDATION_FAILED"),
        ('{"query": "query($id: ID!) { node(id: $id) { id } }"}', 400, "BAD_INPUT"),
        ("[]", 400, "BAD_INPUT"),
        ('{"query": "subscription { generation(id: \\"x\\") { __typename } }"}', 401, "UNAUTHENTICATED"),
    ],
)
async def test_what_is_refused_has_a_status(stack: Stack, content: str, status: int, code: str) -> None:
    reply = await stack.http.post("/graphql/stream", content=content, headers={"content-type": "application/json"})
    assert (reply.status_code, reply.json()["errors"][0]["extensions"]["code"]) == (status, code)


async def test_errors_of_a_subscription_come_in_the_stream(stack: Stack) -> None:
    generation = stack.conversations.add_generation("somebody else")
    _, (name, response), end = await collect(stack, SUBSCRIPTION, {"id": generation.id})
    assert (name, response["errors"][0]["extensions"]["code"]) == ("next", "NOT_FOUND")
    assert end == ("complete", "")


async def test_a_stream_is_never_silent_for_long(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT_SECONDS", 0.05)
    generation = stack.conversations.add_generation(stack.user.id)
    async with open_events(stack, SUBSCRIPTION, {"id": generation.id}) as events:
        assert [await anext(events) for _ in range(3)] == [("", "")] * 3
        await stack.live.raise_fence(generation.id, 1)
        await stack.live.append(generation.id, [Delta(1, 1, 0, "hi")])
        while (event := await anext(events)) == ("", ""):
            pass
        assert event[1]["data"]["generation"]["text"] == "hi"
    assert sse.HEARTBEAT_SECONDS < 15


async def test_a_revoked_session_ends_the_stream(stack: Stack) -> None:
    generation = stack.conversations.add_generation(stack.user.id)
    async with open_events(stack, SUBSCRIPTION, {"id": generation.id}) as events:
        assert await anext(events) == ("", "")
        await stack.live.revoke("session", 600)
        name, response = await anext(events)
        assert (name, response["errors"][0]["extensions"]["code"]) == ("next", "UNAUTHENTICATED")
        assert await anext(events) == ("complete", "")


async def test_a_revoked_session_ends_the_stream_while_tokens_flow(stack: Stack) -> None:
    generation = stack.conversations.add_generation(stack.user.id)
    await stack.live.raise_fence(generation.id, 1)
    async with (
        open_events(stack, SUBSCRIPTION, {"id": generation.id}) as events,
        running(_flow(stack, generation.id)),
    ):
        assert [(await anext(events))[0] for _ in range(3)] == ["", "next", "next"]
        await stack.live.revoke("session", 600)
        found = [event async for event in events]
    *_, (_, last), end = found
    assert (last["errors"][0]["extensions"]["code"], end) == ("UNAUTHENTICATED", ("complete", ""))


async def _flow(stack: Stack, generation_id: str) -> None:
    offset = 0
    while True:
        await stack.live.append(generation_id, [Delta(1, 1, offset, "x")])
        offset += 1
        await asyncio.sleep(0.02)


async def test_no_more_streams_than_allowed() -> None:
    async with open_stack(gateway_max_streams=1) as stack:
        generation = stack.conversations.add_generation(stack.user.id)
        async with open_events(stack, SUBSCRIPTION, {"id": generation.id}) as events:
            await anext(events)
            refused = await stack.http.post("/graphql/stream", json={"query": "{ __typename }"})
            assert (refused.status_code, refused.json()["errors"][0]["extensions"]["code"]) == (503, "OVERLOADED")
            assert int(refused.headers["retry-after"]) >= 1
        async with asyncio.timeout(5):  # a client that is gone gives its place back
            while (await stack.http.post("/graphql/stream", json={"query": "{ __typename }"})).status_code == 503:
                pass


async def test_streams_end_without_complete_when_the_gateway_stops() -> None:
    async with open_stack() as stack:
        generation = stack.conversations.add_generation(stack.user.id)
        headers = {"authorization": f"Bearer {stack.token}"}
        body = {"query": SUBSCRIPTION, "variables": {"id": generation.id}}
        request = stack.http.build_request("POST", "/graphql/stream", json=body, headers=headers)
        http = type(stack.http)(base_url=stack.http.base_url)
        reply = await http.send(request, stream=True)
        events = parse_events(reply)
        assert await anext(events) == ("", "")
    assert [event async for event in events] == []
    await http.aclose()

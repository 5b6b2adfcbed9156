"""graphql-transport-ws, frame by frame."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from parley_gateway.testing.socket import Client, connect
from parley_gateway.testing.stack import Stack, open_stack
from parley_live.base import Delta

RUNNING = "subscription($id: ID!) { generation(id: $id) { __typename } }"


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[Client]:
    async with connect(stack.port) as opened:
        yield opened


async def test_queries_and_mutations_run_over_a_socket(stack: Stack, client: Client) -> None:
    await client.init(stack.token)
    await client.subscribe("{ me { email } }", key="a")
    assert await client.until_end() == [
        {"id": "a", "type": "next", "payload": {"data": {"me": {"email": "ada@example.org"}}}},
        {"id": "a", "type": "complete"},
    ]
    await client.subscribe('mutation { createConversation(input: {title: "t"}) { title } }')
    frames = await client.until_end()
    assert frames[0]["payload"] == {"data": {"createConversation": {"title": "t"}}}


async def test_without_a_token_only_what_is_public(stack: Stack, client: Client) -> None:
    await client.init()
    await client.subscribe("{ models { name } }")
    assert (await client.until_end())[0]["payload"] == {"data": {"models": [{"name": "small"}]}}
    await client.subscribe("{ me { id } }")
    assert (await client.until_end())[0]["payload"]["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("subprotocol", [None, "graphql-ws"])
async def test_another_subprotocol(stack: Stack, subprotocol: str | None) -> None:
    async with connect(stack.port, subprotocol) as client:
        assert await client.closing() == 4406


@pytest.mark.parametrize(
    "frame",
    [
        "{",
        "[]",
        '"ping"',
        "{}",
        b"\x00",
        b'{"type": "ping"}',
        {"type": "start"},
        {"type": 1},
        {"type": "connection_ack"},
        {"type": "subscribe", "payload": {"query": "{ __typename }"}},
        {"type": "subscribe", "id": 1, "payload": {"query": "{ __typename }"}},
        {"type": "subscribe", "id": "", "payload": {"query": "{ __typename }"}},
        {"type": "subscribe", "id": "1"},
        {"type": "subscribe", "id": "1", "payload": {}},
        {"type": "complete"},
        {"type": "ping", "payload": []},
        '{"type": "subscribe", "id": "\\ud800", "payload": {"query": "{ __typename }"}}',
        "[" * 100_000,
        '{"type": "ping", "payload": {"x": ' + "[" * 100 + "]" * 100 + "}}",
        '{"type": "ping", "payload": {"x": 1e999}}',
    ],
)
async def test_what_is_no_message(stack: Stack, client: Client, frame: object) -> None:
    await client.init(stack.token)
    await client.send(frame)
    assert await client.closing() == 4400


async def test_what_is_no_message_before_init(client: Client) -> None:
    await client.send("{")
    assert await client.closing() == 4400


async def test_subscribe_before_init(client: Client) -> None:
    await client.subscribe("{ __typename }")
    assert await client.closing() == 4401


@pytest.mark.parametrize("authorization", ["Bearer x.y.z", "", "Basic x", 1, None])
async def test_a_bad_token_in_init(client: Client, authorization: object) -> None:
    await client.send({"type": "connection_init", "payload": {"authorization": authorization}})
    if authorization is None:
        assert await client.receive() == {"type": "connection_ack"}
    else:
        with pytest.raises(ConnectionClosed) as closed:  # without an acknowledgement
            await client.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4403


async def test_no_init(client: Client) -> None:
    await client.send({"type": "ping"})
    assert await client.closing() == 4408


async def test_the_token_may_come_with_the_handshake(stack: Stack) -> None:
    headers = {"authorization": f"Bearer {stack.token}"}
    async with connect(stack.port, additional_headers=headers) as client:
        await client.init()
        await client.subscribe("{ me { id } }")
        assert (await client.until_end())[0]["payload"]["data"]["me"]["id"] == stack.user.id


async def test_two_inits(client: Client) -> None:
    await client.init()
    await client.send({"type": "connection_init"})
    assert await client.closing() == 4429


@pytest.mark.parametrize("key", ["1", "\U0001f600" * 50])
async def test_an_id_in_use(stack: Stack, client: Client, key: str) -> None:
    generation = stack.conversations.add_generation(stack.user.id)
    await client.init(stack.token)
    await client.subscribe(RUNNING, {"id": generation.id}, key)
    await client.subscribe("{ __typename }", key=key)
    assert await client.closing() == 4409


async def test_an_id_is_free_once_its_operation_is_over(stack: Stack, client: Client) -> None:
    generation = stack.conversations.add_generation(stack.user.id)
    await client.init(stack.token)
    for _ in range(3):
        await client.subscribe("{ __typename }")
        await client.until_end()
    await client.subscribe(RUNNING, {"id": generation.id})
    await client.send({"type": "complete", "id": "1"})
    await client.subscribe("{ __typename }")
    assert [frame["type"] for frame in await client.until_end()] == ["next", "complete"]


async def test_what_the_client_completes_says_nothing_more(stack: Stack, client: Client) -> None:
    generation = stack.conversations.add_generation(stack.user.id)
    await client.init(stack.token)
    await client.subscribe(RUNNING, {"id": generation.id})
    await stack.conversations.until_called("GetGeneration")
    await client.send({"type": "complete", "id": "1"})
    await client.subscribe("{ __typename }", key="2")
    await client.until_end()
    await stack.live.raise_fence(generation.id, 1)
    await stack.live.append(generation.id, [Delta(1, 1, 0, "nobody reads this")])
    await client.subscribe("{ me { id } }", key="3")
    assert {frame["id"] for frame in await client.until_end()} == {"3"}


async def test_completing_what_does_not_run(stack: Stack, client: Client) -> None:
    await client.init(stack.token)
    await client.send({"type": "complete", "id": "never"})
    await client.send({"type": "ping"})
    assert await client.receive() == {"type": "pong"}


@pytest.mark.parametrize("payload", [{}, {"n": [1, "\u00e9\U0001f600", "\ud800", 10**40, None]}])
async def test_pong_echoes_the_payload(client: Client, payload: dict[str, object]) -> None:
    await client.send({"type": "ping", "payload": payload})
    assert await client.receive() == {"type": "pong", "payload": payload}
    await client.init()
    await client.send({"type": "pong", "payload": payload})
    await client.send({"type": "ping", "payload": payload})
    assert await client.receive() == {"type": "pong", "payload": payload}


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ nothing }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query($id: ID!) { node(id: $id) { id } }"}, "BAD_INPUT"),
        ({"query": "{ __typename }", "variables": []}, "BAD_INPUT"),
        ({"query": 'subscription { generation(id: "x") { __typename } }'}, "BAD_INPUT"),
    ],
)
async def test_an_invalid_operation_leaves_the_socket_open(
    stack: Stack, client: Client, payload: dict[str, object], code: str
) -> None:
    await client.init(stack.token)
    await client.send({"type": "subscribe", "id": "x", "payload": payload})
    frame = await client.receive()
    assert (frame["id"], frame["type"]) == ("x", "error")
    assert frame["payload"][0]["extensions"]["code"] == code
    await client.subscribe("{ __typename }", key="x")
    assert [frame["type"] for frame in await client.until_end()] == ["next", "complete"]


async def test_a_frame_too_large(stack: Stack, client: Client) -> None:
    await client.init(stack.token)
    await client.send(json.dumps({"type": "ping", "payload": {"x": "x" * 2_000_000}}))
    assert await client.closing() == 1009


async def test_no_more_than_100_operations_at_once(stack: Stack, client: Client) -> None:
    generation = stack.conversations.add_generation(stack.user.id)
    await client.init(stack.token)
    for number in range(101):
        await client.subscribe(RUNNING, {"id": generation.id}, key=str(number))
    frame = await client.receive()
    assert (frame["id"], frame["type"]) == ("100", "error")
    assert frame["payload"][0]["extensions"]["code"] == "OVERLOADED"
    assert frame["payload"][0]["extensions"]["retryAfter"] > 0


async def test_an_expired_token_ends_the_socket(stack: Stack, client: Client) -> None:
    await client.init(stack.auth.issue(stack.user.id, lifetime=1.0))
    assert await client.closing() == 4403


async def test_a_revoked_session_ends_the_socket(stack: Stack, client: Client) -> None:
    await client.init(stack.token)
    await stack.live.revoke("session", 600)
    assert await client.closing() == 4403


async def test_pages_from_elsewhere_may_not_connect(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(stack.port, origin="https://evil.example.org"):
            pass
    assert refused.value.response.status_code == 403
    for odd in ("null", "http://[", "http://localhost.evil.example.org"):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(stack.port, origin=odd):
                pass
        assert refused.value.response.status_code == 403
    for origin in (f"http://127.0.0.1:{stack.port}", "http://localhost:5173"):
        async with connect(stack.port, origin=origin) as client:
            await client.init()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]  # a refusal is no fault


async def test_production_knows_no_local_pages() -> None:
    async with open_stack(env="production", gateway_origins="https://chat.example.org") as stack:
        with pytest.raises(InvalidStatus):
            async with connect(stack.port, origin="http://localhost:5173"):
                pass
        async with connect(stack.port, origin="https://chat.example.org") as client:
            await client.init()


async def test_no_more_sockets_than_allowed(caplog: pytest.LogCaptureFixture) -> None:
    async with open_stack(gateway_max_streams=1) as stack:
        async with connect(stack.port) as first:
            await first.init()
            with pytest.raises(InvalidStatus) as refused:
                async with connect(stack.port):
                    pass
            assert refused.value.response.status_code == 503
            assert int(refused.value.response.headers["retry-after"]) >= 1
        await _eventually_connects(stack)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def _eventually_connects(stack: Stack) -> None:
    async with asyncio.timeout(5):
        while True:
            try:
                async with connect(stack.port) as client:
                    await client.init()
                    return
            except InvalidStatus:
                continue


async def test_sockets_are_told_of_the_end() -> None:
    async with open_stack() as stack:
        client_context = connect(stack.port)
        client = await client_context.__aenter__()
        await client.init()
    assert await client.closing() == 1012
    await client_context.__aexit__(None, None, None)


async def test_a_token_that_nobody_can_verify_is_no_bad_token(stack: Stack) -> None:
    """While auth is away, a socket opens all the same, and operations say UNAVAILABLE."""
    async with open_stack(auth_address="127.0.0.1:1") as alone, connect(alone.port) as client:
        await client.init(alone.token)
        await client.subscribe("{ me { id } }")
        errors = (await client.until_end())[0]["payload"]["errors"]
        assert errors[0]["extensions"]["code"] == "UNAVAILABLE"
        assert errors[0]["extensions"]["retryAfter"] > 0

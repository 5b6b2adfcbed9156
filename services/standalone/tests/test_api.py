"""What a server may answer, and what the client makes of it."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from websockets.asyncio.server import ServerConnection, serve

from parley_kit.errors import BadInput, Internal, RateLimited, Unavailable
from parley_standalone.client import Api
from parley_standalone.client.api import SUBPROTOCOL


async def ask(answer: httpx.Response | Exception) -> object:
    def respond(_request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as http:
        return await Api("http://server/graphql/", http).execute("{ me { id } }", {})


async def test_data_is_handed_over() -> None:
    assert await ask(httpx.Response(200, json={"data": {"me": None}})) == {"me": None}


async def test_errors_come_back_as_our_own() -> None:
    extensions = {"code": "BAD_INPUT", "field": "email"}
    with pytest.raises(BadInput) as bad:
        await ask(httpx.Response(400, json={"errors": [{"message": "no", "extensions": extensions}], "data": None}))
    assert (bad.value.message, bad.value.field) == ("no", "email")
    extensions = {"code": "RATE_LIMITED", "retryAfter": 7.5}
    with pytest.raises(RateLimited) as limited:
        await ask(httpx.Response(200, json={"errors": [{"message": "slower", "extensions": extensions}]}))
    assert limited.value.retry_after == 7.5


async def test_a_bug_of_the_server_names_its_request() -> None:
    extensions = {"code": "INTERNAL", "requestId": "r-1"}
    with pytest.raises(Internal, match="r-1"):
        await ask(httpx.Response(200, json={"errors": [{"message": "internal error", "extensions": extensions}]}))


@pytest.mark.parametrize(
    "answer",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.Response(200, text="<html>"),
        httpx.Response(404, json={"detail": "Not Found"}),
        httpx.Response(200, json=[]),
    ],
    ids=["refused", "timeout", "html", "json of another", "list"],
)
async def test_a_server_that_is_away_or_another_is_unavailable(answer: httpx.Response | Exception) -> None:
    with pytest.raises(Unavailable, match="http://server"):
        await ask(answer)


async def test_a_server_that_never_acknowledges_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parley_standalone.client.api.TIMEOUT", 0.2)

    async def never(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async with serve(never, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL]) as listening, httpx.AsyncClient() as http:
        port = next(iter(listening.sockets)).getsockname()[1]
        with pytest.raises(Unavailable):
            async with asyncio.timeout(5):
                await anext(Api(f"http://127.0.0.1:{port}", http).subscribe("subscription { x }", {}, None))


async def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "ws_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)

    async def answer(socket: ServerConnection) -> None:
        for reply in ({"type": "connection_ack"}, {"id": "1", "type": "complete"}):
            await socket.recv()
            await socket.send(json.dumps(reply))

    async with serve(answer, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL]) as listening, httpx.AsyncClient() as http:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        assert [data async for data in Api(url, http).subscribe("subscription { x }", {}, "token")] == []

"""What a server may answer, and what the client makes of it."""

from __future__ import annotations

import asyncio

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

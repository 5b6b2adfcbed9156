"""Following an answer over a server that drops connections: a real WebSocket server that plays a script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from parley_kit.clock import ManualClock
from parley_kit.errors import NotFound, ParleyError, Unavailable
from parley_standalone.client import Account, Answer, Api, ChatClient, Delta, Finished
from parley_standalone.client.credentials import CredentialFile, Saved

Reply = Callable[["Server", ServerConnection, dict[str, Any]], Awaitable[None]]

FINISHED = {
    "__typename": "GenerationFinished",
    "state": "COMPLETED",
    "finishReason": "STOP",
    "message": {"id": "m", "content": "hello"},
    "usage": {"completionTokens": 2},
    "error": None,
}


def delta(offset: int, text: str) -> dict[str, Any]:
    return {"__typename": "TokenDelta", "offset": offset, "text": text, "attempt": 3}


class Server:
    """Answers each subscription by the next reply of its script; what clients asked for is kept."""

    def __init__(self, script: list[Reply]) -> None:
        self._script = script
        self.asked: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.refreshes = 0

    async def __call__(self, socket: ServerConnection) -> None:
        init = json.loads(await socket.recv())
        self.tokens.append(init["payload"]["authorization"])
        await socket.send('{"type": "connection_ack"}')
        subscribe = json.loads(await socket.recv())
        self.asked.append(subscribe["payload"]["variables"])
        await self._script.pop(0)(self, socket, subscribe)

    def refresh(self, _request: httpx.Request) -> httpx.Response:
        self.refreshes += 1
        session = {"accessToken": f"access-{self.refreshes}", "refreshToken": "next", "user": USER}
        return httpx.Response(200, json={"data": {"session": session}})


USER = {"email": "ada@example.org", "displayName": "Ada"}


def deltas_then_drop(*events: dict[str, Any]) -> Reply:
    async def reply(_server: Server, socket: ServerConnection, frame: dict[str, Any]) -> None:
        for event in events:
            await socket.send(
                json.dumps({"id": frame["id"], "type": "next", "payload": {"data": {"generation": event}}})
            )
        socket.transport.abort()

    return reply


def refuse(code: str) -> Reply:
    async def reply(_server: Server, socket: ServerConnection, frame: dict[str, Any]) -> None:
        error = {"message": "no", "extensions": {"code": code}}
        await socket.send(json.dumps({"id": frame["id"], "type": "error", "payload": [error]}))

    return reply


async def close_4403(_server: Server, socket: ServerConnection, _frame: dict[str, Any]) -> None:
    await socket.close(4403, "the access token has expired")


async def complete_at_once(_server: Server, socket: ServerConnection, frame: dict[str, Any]) -> None:
    await socket.send(json.dumps({"id": frame["id"], "type": "complete"}))


class ImpatientClock(ManualClock):
    """Sleeps take no time of ours, and all of theirs."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)


@asynccontextmanager
async def client_of(
    server: Server, folder: Path, waits: list[ParleyError], clock: ManualClock | None = None
) -> AsyncIterator[ChatClient]:
    async with serve(server, "127.0.0.1", 0, subprotocols=[Subprotocol("graphql-transport-ws")]) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        credentials = CredentialFile(folder / "sessions.json")
        credentials.write(url, Saved("ada@example.org", "refresh"))
        async with httpx.AsyncClient(transport=httpx.MockTransport(server.refresh)) as http:
            account = Account(Api(url, http), credentials)
            await account.renew()
            yield ChatClient(account, clock or ImpatientClock(), waits.append)


async def follow(client: ChatClient) -> Answer:
    answer = Answer("generation")
    async with aclosing(client.follow(answer)) as events:
        async for event in events:
            assert isinstance(event, Delta | Finished)
    return answer


async def test_a_dropped_connection_goes_on_where_it_broke(tmp_path: Path) -> None:
    server = Server([deltas_then_drop(delta(0, "he")), deltas_then_drop(delta(2, "llo"), FINISHED)])
    waits: list[ParleyError] = []
    async with client_of(server, tmp_path, waits) as client:
        answer = await follow(client)
    assert answer.text == "hello"
    assert [(asked["after"], asked["attempt"]) for asked in server.asked] == [(0, None), (2, 3)]
    assert [error.code for error in waits] == ["UNAVAILABLE"]


@pytest.mark.parametrize("ending", [refuse("UNAUTHENTICATED"), close_4403])
async def test_an_expired_token_is_refreshed_on_the_way(tmp_path: Path, ending: Reply) -> None:
    server = Server([ending, deltas_then_drop(delta(0, "hello"), FINISHED)])
    async with client_of(server, tmp_path, []) as client:
        assert (await follow(client)).text == "hello"
    assert server.tokens == ["Bearer access-1", "Bearer access-2"]


async def test_a_stream_that_completes_too_early_is_asked_for_again(tmp_path: Path) -> None:
    server = Server([complete_at_once, deltas_then_drop(delta(0, "hello"), FINISHED)])
    async with client_of(server, tmp_path, []) as client:
        assert (await follow(client)).text == "hello"


async def test_a_refusal_is_final(tmp_path: Path) -> None:
    async with client_of(Server([refuse("NOT_FOUND")]), tmp_path, []) as client:
        with pytest.raises(NotFound):
            await follow(client)


async def test_patience_with_a_server_that_is_gone_ends_after_a_minute(tmp_path: Path) -> None:
    waits: list[ParleyError] = []
    server = Server([deltas_then_drop()] * 100)
    async with client_of(server, tmp_path, waits) as client:
        with pytest.raises(Unavailable):
            await follow(client)
    assert 10 < len(waits) < 30


async def test_an_answer_that_is_long_in_coming_survives_a_dropped_connection(tmp_path: Path) -> None:
    clock = ImpatientClock()

    async def silent_then_drop(_server: Server, socket: ServerConnection, _frame: dict[str, Any]) -> None:
        clock.advance(600)
        socket.transport.abort()

    server = Server([silent_then_drop, deltas_then_drop(delta(0, "hello"), FINISHED)])
    async with client_of(server, tmp_path, [], clock) as client:
        assert (await follow(client)).text == "hello"

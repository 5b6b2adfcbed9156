"""Raw clients of the gateway: every transport as the wire has it, with nothing of the product's own client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

Json = dict[str, Any]
EVENTS_TIMEOUT = 30.0

ANSWER = """
subscription Answer($id: ID!, $after: Int, $attempt: Int) {
  generation(id: $id, after: $after, attempt: $attempt) {
    __typename
    ... on TokenDelta { offset text attempt }
    ... on GenerationRestarted { attempt }
    ... on GenerationFinished {
      state finishReason message { id content role } usage { promptTokens completionTokens } error { code message }
    }
  }
}
"""


class Http:
    """GraphQL over HTTP. One connection pool; any number of users."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self.url = url
        self.client = client

    async def post(self, document: str, variables: Mapping[str, Any] | None = None, token: str | None = None) -> Json:
        """The whole answer, errors included."""
        body = {"query": document, "variables": dict(variables or {})}
        headers = {"content-type": "application/json", **bearer(token)}
        content = json.dumps(body)  # in ASCII, so that lone surrogates can be sent
        response = await self.client.post(f"{self.url}/graphql", content=content, headers=headers)
        assert response.status_code < 500, response.text
        answer: Json = response.json()
        return answer

    async def data(self, document: str, variables: Mapping[str, Any] | None = None, token: str | None = None) -> Json:
        """The data of an operation that must succeed."""
        answer = await self.post(document, variables, token)
        assert "errors" not in answer, answer
        data: Json = answer["data"]
        return data

    async def code(self, document: str, variables: Mapping[str, Any] | None = None, token: str | None = None) -> str:
        """The code of an operation that must fail."""
        return code_of(await self.post(document, variables, token))


def bearer(token: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


def code_of(answer: Json) -> str:
    """The code of the first error. Fails when there is none, or one without a code."""
    errors = answer.get("errors")
    assert errors, answer
    code = errors[0]["extensions"]["code"]
    assert isinstance(code, str)
    return code


@asynccontextmanager
async def open_http(url: str) -> AsyncIterator[Http]:
    async with httpx.AsyncClient(timeout=20.0) as client:
        yield Http(url, client)


@asynccontextmanager
async def open_socket(url: str, token: str | None = None, *, init: bool = True) -> AsyncIterator[ClientConnection]:
    """A graphql-transport-ws connection; with `init`, acknowledged."""
    address = f"ws{url.removeprefix('http')}/graphql"
    async with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")], max_size=None) as socket:
        if init:
            await send(socket, {"type": "connection_init", "payload": bearer(token)})
            assert (await receive(socket))["type"] == "connection_ack"
        yield socket


async def send(socket: ClientConnection, frame: object) -> None:
    await socket.send(json.dumps(frame))


async def receive(socket: ClientConnection) -> Json:
    """The next frame that is not a ping."""
    async with asyncio.timeout(EVENTS_TIMEOUT):
        while True:
            frame: Json = json.loads(await socket.recv())
            if frame["type"] != "ping":
                return frame
            await send(socket, {"type": "pong"})


async def over_ws(url: str, token: str | None, document: str, variables: Json) -> AsyncGenerator[Json]:
    """The answers of one operation, to its completion; an `error` frame counts as an answer with errors."""
    async with open_socket(url, token) as socket:
        await send(socket, {"id": "op", "type": "subscribe", "payload": {"query": document, "variables": variables}})
        while (frame := await receive(socket))["type"] != "complete":
            assert frame["id"] == "op"
            yield {"errors": frame["payload"]} if frame["type"] == "error" else frame["payload"]
            if frame["type"] == "error":
                return


async def over_sse(url: str, token: str | None, document: str, variables: Json) -> AsyncGenerator[Json]:
    """The same over graphql-sse in distinct-connections mode. A refusal before the stream counts as an answer."""
    body = json.dumps({"query": document, "variables": variables})
    headers = {"accept": "text/event-stream", "content-type": "application/json", **bearer(token)}
    async with httpx.AsyncClient(timeout=EVENTS_TIMEOUT) as client:
        request = client.stream("POST", f"{url}/graphql/stream", content=body, headers=headers)
        async with request as response:
            if not response.headers["content-type"].startswith("text/event-stream"):
                assert response.status_code < 500
                yield json.loads(await response.aread())
                return
            async for kind, data in _server_sent(response.aiter_lines()):
                if kind == "complete":
                    assert data == ""
                    return
                assert kind == "next"
                yield json.loads(data)
            raise ConnectionError("the stream ended without `complete`")


async def _server_sent(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, str]]:
    """Events by the rules of the HTML standard, comments left out."""
    kind, data = "message", list[str]()
    async for line in lines:
        if line == "":
            if data:
                yield kind, "\n".join(data)
            kind, data = "message", []
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                kind = value
            elif field == "data":
                data.append(value)


Transport = Callable[[str, str | None, str, Json], AsyncGenerator[Json]]
TRANSPORTS: dict[str, Transport] = {"ws": over_ws, "sse": over_sse}


async def events(
    transport: str, url: str, token: str, generation_id: str, after: int = 0, attempt: int | None = None
) -> AsyncGenerator[Json]:
    """The events of an answer. Fails on an error. Close it (`aclosing`) to leave before the end."""
    place = {"id": generation_id, "after": after, "attempt": attempt}
    async with aclosing(TRANSPORTS[transport](url, token, ANSWER, place)) as answers:
        async for answer in answers:
            assert "errors" not in answer, answer
            yield answer["data"]["generation"]


def text_of(seen: list[Json], held: str = "") -> str:
    """The text that a reader holds at the end. Fails for a gap, an overlap, an empty delta, or not exactly one end."""
    for event in seen:
        if event["__typename"] == "TokenDelta":
            assert event["text"] != ""
            assert event["offset"] == len(held), (event, len(held))
            held += event["text"]
        elif event["__typename"] == "GenerationRestarted":
            held = ""
    assert [event["__typename"] for event in seen].count("GenerationFinished") == 1
    assert seen[-1]["__typename"] == "GenerationFinished"
    return held

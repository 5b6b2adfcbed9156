"""GraphQL over HTTP and graphql-transport-ws: operations in, data or typed errors out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Literal

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from parley_kit.errors import Internal, ParleyError, Unauthenticated, Unavailable, rebuild
from parley_kit.loopback import is_loopback

TIMEOUT = 15.0
SUBPROTOCOL = Subprotocol("graphql-transport-ws")
FORBIDDEN = 4403

Data = dict[str, Any]


class Api:
    """One server. `url` with or without `/graphql`. Errors are `ParleyError`s; Unavailable when it is not there."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url = url.rstrip("/").removesuffix("/graphql")
        self._http = http

    async def execute(self, document: str, variables: Mapping[str, Any], token: str | None = None) -> Data:
        """The data of a query or mutation."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        body = {"query": document, "variables": variables}
        try:
            response = await self._http.post(f"{self.url}/graphql", json=body, headers=headers, timeout=TIMEOUT)
            answer = response.json()
        except httpx.HTTPError as error:
            raise self._away(error) from None
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or not answer.keys() & {"data", "errors"}:
            raise Unavailable(f"{self.url} does not answer as a Parley server does")
        return _data_of(answer)

    async def subscribe(self, document: str, variables: Mapping[str, Any], token: str | None) -> AsyncGenerator[Data]:
        """The data of each event of a subscription. Unavailable also when the connection breaks before the end."""
        address = f"ws{self.url.removeprefix('http')}/graphql"
        proxy: Literal[True] | None = None if is_loopback(address) else True  # True: that of the environment
        try:
            async with connect(
                address, subprotocols=[SUBPROTOCOL], open_timeout=TIMEOUT, max_size=None, proxy=proxy
            ) as socket:
                async with asyncio.timeout(TIMEOUT):
                    await _open(socket, token)
                async with aclosing(_events(socket, {"query": document, "variables": variables})) as events:
                    async for data in events:
                        yield data
        except ConnectionClosed as error:
            if error.rcvd is not None and error.rcvd.code == FORBIDDEN:
                raise Unauthenticated(error.rcvd.reason or "the access token is not accepted") from None
            raise self._away(error) from None
        except (OSError, TimeoutError, InvalidHandshake) as error:
            raise self._away(error) from None

    def _away(self, error: Exception) -> Unavailable:
        reason = str(error) or type(error).__name__
        return Unavailable(f"cannot reach {self.url} ({reason}); is the server running? Start it with: parley run")


async def _open(socket: ClientConnection, token: str | None) -> None:
    payload = {"authorization": f"Bearer {token}"} if token else {}
    await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
    await _receive(socket, "connection_ack")


async def _events(socket: ClientConnection, operation: Data) -> AsyncGenerator[Data]:
    await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": operation}))
    while True:
        frame = await _receive(socket, "next", "error", "complete")
        match frame["type"]:
            case "next":
                yield _data_of(frame["payload"])
            case "error":
                raise _first_error(frame["payload"])
            case _:
                return


async def _receive(socket: ClientConnection, *kinds: str) -> Data:
    """The next frame of one of `kinds`; pings are answered on the way."""
    while True:
        frame: Data = json.loads(await socket.recv())
        if frame["type"] == "ping":
            await socket.send(json.dumps({"type": "pong"}))
        elif frame["type"] in kinds:
            return frame


def _data_of(answer: Data) -> Data:
    if answer.get("errors"):
        raise _first_error(answer["errors"])
    data: Data = answer["data"]
    return data


def _first_error(errors: list[Data]) -> ParleyError:
    first = errors[0]
    extensions = first.get("extensions", {})
    code, message = extensions.get("code", Internal.code), first.get("message", "")
    if "requestId" in extensions:
        message = f"{message} (request {extensions['requestId']})"
    return rebuild(code, message, field=extensions.get("field"), retry_after=extensions.get("retryAfter"))

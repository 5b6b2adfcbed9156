"""A WebSocket client that speaks graphql-transport-ws frame by frame."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import websockets
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

WAIT_SECONDS = 8.0


class Client:
    """What is sent is sent as it is; `closing` tells the code that the server closes with."""

    def __init__(self, connection: websockets.ClientConnection) -> None:
        self.connection = connection

    async def send(self, frame: Any) -> None:
        await self.connection.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_SECONDS):
            frame: dict[str, Any] = json.loads(await self.connection.recv())
            return frame

    async def init(self, token: str | None = None) -> None:
        """connection_init, and its acknowledgement."""
        payload = {} if token is None else {"payload": {"authorization": f"Bearer {token}"}}
        await self.send({"type": "connection_init", **payload})
        assert await self.receive() == {"type": "connection_ack"}

    async def subscribe(self, query: str, variables: dict[str, Any] | None = None, key: str = "1") -> None:
        await self.send({"type": "subscribe", "id": key, "payload": {"query": query, "variables": variables}})

    async def until_end(self) -> list[dict[str, Any]]:
        """Frames up to `complete` or `error`, with it."""
        frames = [await self.receive()]
        while frames[-1]["type"] not in ("complete", "error"):
            frames.append(await self.receive())
        return frames

    async def closing(self) -> int:
        """The code of the close, whatever else comes before."""
        async with asyncio.timeout(WAIT_SECONDS):
            try:
                while True:
                    await self.connection.recv()
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else 1006


@asynccontextmanager
async def connect(port: int, subprotocol: str | None = "graphql-transport-ws", **options: Any) -> AsyncIterator[Client]:
    """A connection, not initialised yet. `options` are those of websockets.connect."""
    subprotocols = None if subprotocol is None else [Subprotocol(subprotocol)]
    uri = f"ws://127.0.0.1:{port}/graphql"
    async with websockets.connect(uri, subprotocols=subprotocols, max_size=None, **options) as connection:
        yield Client(connection)

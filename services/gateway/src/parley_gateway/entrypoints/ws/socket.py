"""One WebSocket, from the handshake to the close."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from parley_gateway.caller import Caller
from parley_gateway.entrypoints.graphql.errors import format_parley_error
from parley_gateway.entrypoints.pacing import running
from parley_gateway.entrypoints.ws.frames import ACK, SUBPROTOCOL, Closed, Frame, parse_frame, pong_frame
from parley_gateway.entrypoints.ws.operations import Operations
from parley_gateway.gateway import Gateway
from parley_kit.errors import Forbidden, Overloaded, ParleyError, Unauthenticated
from parley_kit.logs import get_logger

log = get_logger(__name__)

INIT_SECONDS = 3.0
CLOSE_SECONDS = 60.0
SEND_SECONDS = 120.0
"""How long a client may take nothing at all. The server's pings close such a socket earlier, with a frame (1011)."""

GONE = 1006
"""What a close is called that was never sent."""

_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


class WsEndpoint:
    """Sockets from foreign pages are refused (403), and so are those beyond the capacity (503)."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def handle(self, websocket: WebSocket) -> None:
        try:
            if not self._is_welcome(websocket):
                raise Forbidden("pages of this origin may not connect")
            with self._gateway.streams.take():
                await Socket(self._gateway, websocket).run()
        except Forbidden as error:
            await websocket.send_denial_response(_denial(error, 403))
        except Overloaded as error:
            retry_after = {"retry-after": str(max(1, round(error.retry_after)))}
            await websocket.send_denial_response(_denial(error, 503, retry_after))

    def _is_welcome(self, websocket: WebSocket) -> bool:
        """Programs send no Origin; a page's must be this gateway's own, or listed, or local during development."""
        origin = websocket.headers.get("origin")
        if origin is None or origin in self._gateway.origins:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        if parts.netloc == websocket.headers.get("host"):
            return True
        return self._gateway.development and parts.hostname in _LOCAL_HOSTS


class Socket:
    """A connection: init within 3 s, then any number of operations; whatever breaks the protocol closes it."""

    def __init__(self, gateway: Gateway, websocket: WebSocket) -> None:
        self._gateway = gateway
        self._websocket = websocket

    async def run(self) -> None:
        """Serve the socket until either side closes it."""
        speaks = SUBPROTOCOL in self._websocket.scope["subprotocols"]
        try:
            await self._websocket.accept(SUBPROTOCOL if speaks else None)
            if not speaks:
                raise Closed(4406, "Subprotocol not acceptable")
            await self._serve()
        except Closed as closed:
            await self._close(closed)
        except WebSocketDisconnect:
            return
        except Exception:
            log.exception("ws_failed")
            await self._close(Closed(1011, "internal error"))

    async def _serve(self) -> None:
        caller = await self._initialized()
        await self._send(ACK)
        operations = Operations(self._gateway, caller, self._send)
        try:
            async with running(self._watch(caller)) as watch, running(self._receive_all(operations)) as receiving:
                await asyncio.wait({watch, receiving}, return_when=asyncio.FIRST_COMPLETED)
                for task in (receiving, watch):
                    if task.done():
                        task.result()
        finally:
            await operations.close()

    async def _initialized(self) -> Caller:
        try:
            async with asyncio.timeout(INIT_SECONDS):
                frame = await self._init_frame()
        except TimeoutError:
            raise Closed(4408, "Connection initialisation timeout") from None
        authorization = _authorization(frame)
        if authorization is None:
            authorization = self._websocket.headers.get("authorization")
        caller = self._gateway.caller(self._websocket, authorization)
        if authorization is not None:
            await self._check(caller)
        return caller

    async def _init_frame(self) -> Frame:
        while True:
            frame = await self._receive()
            match frame.type:
                case "connection_init":
                    return frame
                case "subscribe":
                    raise Closed(4401, "Unauthorized")
                case "ping":
                    await self._send(pong_frame(frame.payload))

    async def _check(self, caller: Caller) -> None:
        """Refuses a bad token at once. One that nobody can verify for the moment is left to the operations."""
        try:
            await caller.principal()
        except Unauthenticated as error:
            raise Closed(4403, error.message) from None
        except ParleyError as error:
            log.info("ws_token_not_checked", error=error.message)

    async def _receive_all(self, operations: Operations) -> None:
        while True:
            frame = await self._receive()
            match frame.type:
                case "connection_init":
                    raise Closed(4429, "Too many initialisation requests")
                case "ping":
                    await self._send(pong_frame(frame.payload))
                case "subscribe":
                    await operations.start(frame)
                case "complete":
                    operations.cancel(frame.id)

    async def _watch(self, caller: Caller) -> None:
        """Closes the socket when its token is no longer good. A socket without one has nothing to watch."""
        if caller.authorization is None:
            await asyncio.Event().wait()
        raise Closed(4403, await self._gateway.until_invalid(caller))

    async def _receive(self) -> Frame:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        return parse_frame(message.get("text"))

    async def _send(self, frame: str) -> None:
        """Waits for a slow client. Raises Closed when it takes nothing any more, or is gone."""
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._websocket.send({"type": "websocket.send", "text": frame})
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            raise Closed(GONE, "the client is gone") from None

    async def _close(self, closed: Closed) -> None:
        if closed.code == GONE:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._websocket.close(closed.code, closed.reason)
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            log.info("ws_close_not_taken", code=closed.code)


def _denial(error: ParleyError, status: int, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"errors": [format_parley_error(error, "")]}, status, headers)


def _authorization(frame: Frame) -> str | None:
    """The credentials in connection_init. What is there but no text is no token either."""
    payload = frame.payload or {}
    value = next((payload[key] for key in payload if key.lower() == "authorization"), None)
    return value if value is None or isinstance(value, str) else ""

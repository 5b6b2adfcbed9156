"""GraphQL over server-sent events: graphql-sse in distinct-connections mode, at /graphql/stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import orjson
from graphql import OperationType
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from parley_gateway.caller import Caller
from parley_gateway.entrypoints.bodies import read_parameters
from parley_gateway.entrypoints.graphql.engine import Prepared, encode_rejection
from parley_gateway.entrypoints.graphql.errors import RequestRejected, SubscriptionRefused, format_parley_error
from parley_gateway.entrypoints.http import refusal, refuse_method
from parley_gateway.entrypoints.media import EVENT_STREAM, JSON, preferred
from parley_gateway.entrypoints.pacing import first_of, paced, running
from parley_gateway.gateway import Gateway
from parley_kit import telemetry
from parley_kit.errors import Overloaded, Unauthenticated
from parley_kit.logs import get_logger

log = get_logger(__name__)

HEARTBEAT_SECONDS = 10.0
SEND_SECONDS = 120.0
HEARTBEAT = b":\n\n"
COMPLETE = b"event: complete\ndata: \n\n"

_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
        (b"x-content-type-options", b"nosniff"),
        (b"vary", b"accept, origin"),
    ],
}


class SseEndpoint:
    """One stream per request: `next` for each response, then `complete` with an empty data line.

    What is refused before it began has the JSON form of /graphql and a status. A token that ends while the stream lives
    ends the stream, with the error. `stopping` ends it without `complete`, so that clients connect again, elsewhere. A
    client that takes nothing for two minutes is cut off.
    """

    def __init__(self, gateway: Gateway, stopping: asyncio.Event) -> None:
        self._gateway = gateway
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            with telemetry.span("graphql_stream", request.headers):
                await self._serve(request, send)
        except RequestRejected as rejected:
            await refusal(rejected, JSON)(scope, receive, send)
        except TimeoutError:
            log.info("slow_reader_cut_off", seconds=SEND_SECONDS)

    async def _serve(self, request: Request, send: Send) -> None:
        caller = self._gateway.caller(request, request.headers.get("authorization"))
        try:
            with self._gateway.streams.take():
                prepared = await self._prepared(request)
                async with (
                    aclosing(await self._responses(prepared, caller)) as responses,
                    running(self._ending(request, prepared, caller)) as ending,
                    aclosing(_events(responses, ending)) as events,
                ):
                    await _send_all(events, send)
        except Overloaded as error:
            raise RequestRejected([format_parley_error(error, "")], 503) from None

    async def _prepared(self, request: Request) -> Prepared:
        if preferred(request.headers.get("accept"), (EVENT_STREAM,)) is None:
            raise RequestRejected.because(f"only {EVENT_STREAM} is served here", status=406)
        refuse_method(request)
        prepared = self._gateway.engine.prepare(await read_parameters(request))
        if request.method == "GET" and prepared.kind is OperationType.MUTATION:
            raise RequestRejected.because("a mutation needs POST", status=405)
        return prepared

    async def _responses(self, prepared: Prepared, caller: Caller) -> AsyncGenerator[bytes, None]:
        engine, operation = self._gateway.engine, self._gateway.operation(caller)
        if prepared.kind is not OperationType.SUBSCRIPTION:
            return _single(await engine.execute(prepared, operation))
        try:
            return await engine.subscribe(prepared, operation)
        except SubscriptionRefused as refused:
            if refused.errors[0]["extensions"]["code"] != Unauthenticated.code:
                return _single(encode_rejection(refused))
            refused.status = 401
            raise

    async def _ending(self, request: Request, prepared: Prepared, caller: Caller) -> bytes:
        """What is left to send when something other than the last response ends the stream."""
        watches = [self._stopped(), _disconnected(request)]
        if prepared.kind is OperationType.SUBSCRIPTION:
            watches.append(self._token_invalid(caller))
        return await first_of(*watches)

    async def _stopped(self) -> bytes:
        await self._stopping.wait()
        return b""

    async def _token_invalid(self, caller: Caller) -> bytes:
        error = Unauthenticated(await self._gateway.until_invalid(caller))
        return _next(orjson.dumps({"errors": [format_parley_error(error, "")]})) + COMPLETE


async def _send_all(events: AsyncGenerator[bytes, None], send: Send) -> None:
    await send(_START)
    async for event in events:
        async with asyncio.timeout(SEND_SECONDS):
            await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _disconnected(request: Request) -> bytes:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return b""


async def _single(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body


async def _events(responses: AsyncGenerator[bytes, None], ending: asyncio.Task[bytes]) -> AsyncGenerator[bytes, None]:
    yield HEARTBEAT
    async with aclosing(paced(_framed(responses), HEARTBEAT, HEARTBEAT_SECONDS, ending)) as events:
        async for event in events:
            yield event
    yield ending.result() if ending.done() else COMPLETE


async def _framed(responses: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(responses):
        async for body in responses:
            yield _next(body)


def _next(body: bytes) -> bytes:
    return b"event: next\ndata: " + body + b"\n\n"

"""The operations under way on one socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from graphql import OperationType

from parley_gateway.caller import Caller
from parley_gateway.entrypoints.graphql.errors import RequestRejected, format_parley_error
from parley_gateway.entrypoints.graphql.parameters import to_parameters
from parley_gateway.entrypoints.pacing import cancel
from parley_gateway.entrypoints.ws.frames import Closed, Frame, complete_frame, error_frame, next_frame
from parley_gateway.gateway import Gateway
from parley_kit import telemetry
from parley_kit.errors import Internal, Overloaded
from parley_kit.ids import new_id
from parley_kit.logs import get_logger

log = get_logger(__name__)

MAX_OPERATIONS = 100

SendFrame = Callable[[str], Awaitable[None]]


class Operations:
    """Each has its id to itself while it runs, and ends in one `error` or `complete`, or in silence when cancelled.

    Those that have given up their id but still send their last frame, or close what they read, are kept until they end.
    """

    def __init__(self, gateway: Gateway, caller: Caller, send: SendFrame) -> None:
        self._gateway = gateway
        self._caller = caller
        self._send = send
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, frame: Frame) -> None:
        """Run a `subscribe` frame. Raises Closed with 4409 when its id is in use.

        Waits while too many are ending, so that a client that reads no answers cannot pile them up.
        """
        if frame.id in self._running:
            raise Closed(4409, f"Subscriber for {frame.id} already exists")
        if len(self._running) >= MAX_OPERATIONS:
            error = Overloaded(f"at most {MAX_OPERATIONS} operations run at once on a socket")
            await self._send(error_frame(frame.id, [format_parley_error(error, "")]))
            return
        while len(self._tasks) >= MAX_OPERATIONS:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        task = self._running[frame.id] = asyncio.create_task(self._run(frame))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self, key: str) -> None:
        """The client is no longer interested; its id is free again."""
        task = self._running.pop(key, None)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Cancel all that runs, and wait until it has ended."""
        await cancel(*self._tasks)

    async def _run(self, frame: Frame) -> None:
        try:
            with telemetry.span("graphql_ws", _carrier(frame)):
                await self._respond(frame)
            last = complete_frame(frame.id)
        except RequestRejected as rejected:
            last = error_frame(frame.id, rejected.errors)
        except Closed:
            return
        except Exception as error:
            log.exception("ws_operation_failed")
            last = error_frame(frame.id, [format_parley_error(Internal(repr(error)), new_id())])
        # Free before the last frame is out: the client may use the id again as soon as it has it.
        if self._running.get(frame.id) is asyncio.current_task():
            del self._running[frame.id]
        await self._finish(last)

    async def _finish(self, last: str) -> None:
        try:
            await self._send(last)
        except Closed:
            log.debug("ws_closed_before_the_last_frame")

    async def _respond(self, frame: Frame) -> None:
        engine = self._gateway.engine
        prepared = engine.prepare(to_parameters(frame.payload))
        operation = self._gateway.operation(self._caller)
        if prepared.kind is not OperationType.SUBSCRIPTION:
            await self._send(next_frame(frame.id, await engine.execute(prepared, operation)))
            return
        async with aclosing(await engine.subscribe(prepared, operation)) as responses:
            async for response in responses:
                await self._send(next_frame(frame.id, response))


def _carrier(frame: Frame) -> dict[str, str]:
    """The trace that the client goes on with, if `extensions` names one."""
    extensions = frame.payload.get("extensions")
    traceparent = extensions.get("traceparent") if isinstance(extensions, dict) else None
    return {"traceparent": traceparent} if isinstance(traceparent, str) else {}

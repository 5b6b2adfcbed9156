"""The engine for asyncio callers: requests in, tokens out, and a new process when the old one dies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

from parley_worker.config import EngineConfig
from parley_worker.core import FinishReason
from parley_worker.engine.errors import EngineConfigError, EngineDied, NonFiniteScores
from parley_worker.engine.messages import Message, add_message, read_outputs
from parley_worker.engine.process import EngineProcess
from parley_worker.scheduler.request import Output, Request

logger = logging.getLogger(__name__)

_LONGEST_RESTART_DELAY = 30.0


@dataclass(frozen=True, slots=True)
class Token:
    """One token of an answer; the last one says why it is the last."""

    id: int
    finish_reason: FinishReason | None


class EngineClient:
    """Keeps one engine process alive between entering and leaving the context.

    Entering raises EngineConfigError if the engine cannot serve its configuration. When the process dies later, every
    request in flight gets EngineDied and a new process is started, after `restart_delay` seconds and then twice as
    long each time, at most half a minute; `ready` is false meanwhile.
    """

    def __init__(self, config: EngineConfig, *, restart_delay: float = 0.25) -> None:
        self._config, self._restart_delay = config, restart_delay
        self._inboxes: dict[str, asyncio.Queue[Output | None]] = {}
        self._engine: EngineProcess | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._running = asyncio.Event()
        self.slots = 0
        self.window = 0

    @property
    def ready(self) -> bool:
        """Whether requests are taken."""
        return self._running.is_set()

    async def wait_ready(self) -> None:
        """Return when requests are taken. No timeout: the process is started again for as long as the context lasts."""
        await self._running.wait()

    @property
    def pid(self) -> int | None:
        """The process id of the engine, if there is one now."""
        return self._engine.process.pid if self._engine else None

    async def __aenter__(self) -> EngineClient:
        try:
            await self._start()
        except EngineDied as error:
            raise EngineConfigError(str(error)) from error
        self._supervisor = asyncio.create_task(self._supervise(), name="engine supervisor")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._supervisor:
            self._supervisor.cancel()
            with suppress(asyncio.CancelledError):
                await self._supervisor
        self._lose_requests()
        if self._engine:
            await self._engine.close()

    async def generate(self, request: Request) -> AsyncGenerator[Token]:
        """The tokens of a request, the last one with its finish reason. `request.id` must be unique.

        Closing the iterator aborts the request. There is no timeout here: the caller has the deadline of the answer.
        """
        engine = self._engine
        if not self.ready or engine is None:
            raise EngineDied("the engine is starting")
        inbox = self._inboxes[request.id] = asyncio.Queue()
        engine.send(add_message(request))
        over = False
        try:
            while not over:
                output = await inbox.get()
                over = output is None or output.last
                yield _token(output)
        finally:
            self._inboxes.pop(request.id, None)
            if not over:
                engine.send({"abort": request.id})

    async def _start(self) -> None:
        engine = self._engine = await EngineProcess.spawn(self._config)
        try:
            limits = await engine.wait_ready(self._config.start_timeout)
        except BaseException:
            self._engine = None
            await engine.reap()
            raise
        self.slots, self.window = limits["slots"], limits["window"]
        self._running.set()

    async def _supervise(self) -> None:
        while True:
            await self._pump()
            logger.error("the engine process died; requests in flight: %d", len(self._inboxes))
            self._lose_requests()
            await self._restart()

    async def _pump(self) -> None:
        engine = self._engine
        while engine and (message := await engine.receive()):
            self._deliver(message)
        if engine:
            await engine.reap()
        self._engine = None

    def _deliver(self, message: Message) -> None:
        for output in read_outputs(message):
            if inbox := self._inboxes.get(output.id):
                inbox.put_nowait(output)

    def _lose_requests(self) -> None:
        self._running.clear()
        for inbox in self._inboxes.values():
            inbox.put_nowait(None)

    async def _restart(self) -> None:
        delay = self._restart_delay
        while True:
            await asyncio.sleep(delay)
            try:
                return await self._start()
            except (EngineDied, EngineConfigError, OSError) as error:
                logger.error("the engine does not start: %s", error)
            delay = min(2 * delay, _LONGEST_RESTART_DELAY)


def _token(output: Output | None) -> Token:
    if output is None:
        raise EngineDied("the engine died")
    if output.token_id is None:
        raise NonFiniteScores(output.error or "no token")
    return Token(output.token_id, output.finish_reason)

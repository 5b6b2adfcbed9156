"""The engine for asyncio callers: requests in, tokens out, and a new process when the old one dies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from types import TracebackType
from typing import Protocol

from parley_worker.config import EngineConfig
from parley_worker.engine.errors import EngineConfigError, EngineDied, request_error
from parley_worker.engine.inbox import Inbox
from parley_worker.engine.messages import Abort, Add, Event, Ran
from parley_worker.engine.process import EngineProcess
from parley_worker.scheduler.request import Output, Request

logger = logging.getLogger(__name__)

_LONGEST_RESTART_DELAY = 30.0
# An engine with work says something after each step, which takes a part of a second.
_LONGEST_SILENCE = 120.0


class Observer(Protocol):
    """Hears of the engine's work, for metrics. Called in the event loop: it must not wait."""

    def ran(self, step: Ran) -> None: ...

    def died(self) -> None:
        """The process is gone, and with it all that was running, waiting and cached."""
        ...


class EngineClient:
    """Keeps one engine process alive between entering and leaving the context.

    Entering raises EngineConfigError if the engine cannot serve its configuration. When the process dies later, every
    request in flight gets EngineDied and a new process is started, after `restart_delay` seconds and then twice as
    long each time, at most half a minute; `ready` is false meanwhile. A process that has work and says nothing for
    `longest_silence` seconds is as good as dead, and is ended.
    """

    def __init__(
        self,
        config: EngineConfig,
        *,
        observer: Observer | None = None,
        restart_delay: float = 0.25,
        longest_silence: float = _LONGEST_SILENCE,
    ) -> None:
        self._config, self._observer, self._restart_delay = config, observer, restart_delay
        self._longest_silence = longest_silence
        self._inboxes: dict[str, Inbox] = {}
        self._numbers = count()
        self._engine: EngineProcess | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._running = asyncio.Event()
        self._lost_at = 0.0
        self.capacity = 0
        self.window = 0

    @property
    def ready(self) -> bool:
        """Whether requests are taken."""
        return self._running.is_set()

    async def wait_ready(self) -> None:
        """Return when requests are taken. EngineDied: there has been no engine for longer than a start may take."""
        try:
            async with asyncio.timeout_at(self._lost_at + self._config.start_timeout):
                await self._running.wait()
        except TimeoutError as error:
            raise EngineDied("the engine does not start again") from error

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

    async def generate(self, request: Request) -> AsyncGenerator[list[Output]]:
        """The tokens of a request as they come, some at a time; the last one has the finish reason.

        Its id is the client's to give, so that whoever asks gets nobody else's tokens. Raises EngineDied, or the
        RequestError that ended it. Closing the iterator aborts the request. There is no timeout here: the caller has
        the deadline of the answer.
        """
        engine = self._engine
        if not self.ready or engine is None:
            raise EngineDied("the engine is starting")
        request = replace(request, id=str(next(self._numbers)))
        engine.send(Add(request))
        inbox = self._inboxes[request.id] = Inbox()
        over = False
        try:
            while not over:
                outputs = await inbox.take()
                over = not outputs or outputs[-1].last
                if tokens := [output for output in outputs if output.token_id is not None]:
                    yield tokens
                _raise_error(outputs)
        finally:
            del self._inboxes[request.id]
            if not over:
                engine.send(Abort(request.id))

    async def _start(self) -> None:
        engine = self._engine = await EngineProcess.spawn(self._config)
        try:
            ready = await engine.wait_ready(self._config.start_timeout)
        except BaseException:
            self._engine = None
            await engine.reap()
            raise
        self.capacity, self.window = ready.capacity, ready.window
        self._running.set()

    async def _supervise(self) -> None:
        """Without it no request would have an end: whatever goes wrong, it goes on."""
        while True:
            try:
                await self._pump()
            except Exception:
                logger.exception("the engine is given up")
            await self._bury()
            logger.error("the engine process died; requests in flight: %d", len(self._inboxes))
            self._lose_requests()
            if self._observer:
                self._observer.died()
            await self._restart()

    async def _pump(self) -> None:
        engine = self._engine
        while engine and (events := await self._receive(engine)):
            self._deliver(events)

    async def _receive(self, engine: EngineProcess) -> list[Event]:
        """As `EngineProcess.receive`. EngineDied: some request has met nothing but silence for too long."""
        while True:
            waiting = set(self._inboxes)
            try:
                async with asyncio.timeout(self._longest_silence):
                    return await engine.receive()
            except TimeoutError:
                if waiting & self._inboxes.keys():
                    raise EngineDied(f"the engine has said nothing for {self._longest_silence:.0f} s") from None

    async def _bury(self) -> None:
        if self._engine:
            await self._engine.reap()
        self._engine = None

    def _deliver(self, events: Iterable[Event]) -> None:
        for event in events:
            if not isinstance(event, Ran):
                continue
            if self._observer:
                self._observer.ran(event)
            for output in event.outputs:
                if inbox := self._inboxes.get(output.id):
                    inbox.put(output)

    def _lose_requests(self) -> None:
        self._running.clear()
        self._lost_at = asyncio.get_running_loop().time()
        for inbox in self._inboxes.values():
            inbox.lose()

    async def _restart(self) -> None:
        delay = self._restart_delay
        while True:
            await asyncio.sleep(delay)
            try:
                return await self._start()
            except (EngineDied, EngineConfigError, OSError) as error:
                logger.error("the engine does not start: %s", error)
            delay = min(2 * delay, _LONGEST_RESTART_DELAY)


def _raise_error(outputs: list[Output]) -> None:
    if not outputs:
        raise EngineDied("the engine died")
    if (fault := outputs[-1].error) is not None:
        raise request_error(fault)

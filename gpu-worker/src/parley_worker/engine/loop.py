"""The life of the engine process: take commands in, run steps, send tokens out."""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import NamedTuple

from parley_worker.engine.channel import Channel
from parley_worker.engine.messages import Abort, Add, Ran
from parley_worker.engine.opening import Engine
from parley_worker.engine.runner import Launched
from parley_worker.scheduler.request import Fault, Output, Request
from parley_worker.scheduler.step import Step

logger = logging.getLogger(__name__)

# How often the books are looked over, which takes as long as a step or two.
_CHECK_SECONDS = 10.0


class Flight(NamedTuple):
    """A step that was launched and is not read yet."""

    step: Step
    launched: Launched


class Loop:
    """Runs steps while there is work, and sleeps on the channel while there is none.

    With a runner that looks ahead, a step is scheduled and launched while the one before it is computed.
    """

    def __init__(self, channel: Channel, engine: Engine) -> None:
        self._channel = channel
        self._scheduler, self._runner, self._proposer = engine.scheduler, engine.runner, engine.proposer
        self._flights: deque[Flight] = deque()
        self._began = self._checked = 0.0

    def run(self) -> None:
        """Return when the client says stop, or is gone. IntegrityError: the books of the cache do not add up."""
        try:
            while self._take_commands():
                self._step()
        except (EOFError, ConnectionError):
            return

    def _take_commands(self) -> bool:
        idle = self._scheduler.idle
        if idle and (now := time.monotonic()) > self._checked + _CHECK_SECONDS:
            self._scheduler.check_integrity()
            self._checked = now
        for command in self._channel.receive(wait=idle):
            match command:
                case Add(request):
                    self._add(request)
                case Abort(request_id):
                    self._scheduler.abort(request_id)
                case _:
                    return False
        return True

    def _add(self, request: Request) -> None:
        try:
            self._scheduler.add(request)
        except ValueError as error:
            logger.error("request %s is refused: %s", request.id, error)
            self._channel.send(Ran([Output(request.id, None, error=Fault.UNFIT)]))

    def _step(self) -> None:
        if not self._flights:
            self._began = time.perf_counter()
        elif self._scheduler.needs_tokens:
            self._finish()
        step = self._scheduler.schedule(time.monotonic())
        self._flights.append(Flight(step, self._runner.launch(step)))
        # Behind an empty step there is no work to do while the one before it is awaited.
        ahead = 1 if self._runner.looks_ahead and step.rows else 0
        while len(self._flights) > ahead:
            self._finish()

    def _finish(self) -> None:
        step, launched = self._flights.popleft()
        outputs = self._scheduler.update(step, launched.read())
        now = time.perf_counter()
        seconds, self._began = now - self._began, now
        stats = self._scheduler.stats
        if self._proposer and stats:
            self._proposer.timed(stats, seconds)
        self._channel.send(Ran(outputs, seconds, stats))

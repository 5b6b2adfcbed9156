"""How a process lives: open in order, serve until a signal, say "not ready", close in reverse."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AbstractAsyncContextManager

import uvloop

from parley_kit.health import Readiness
from parley_kit.logs import get_logger
from parley_kit.settings import ConfigError, refuse_to_start

log = get_logger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Lifecycle:
    """The wish to stop, as an event: signals set it, and so may a part that cannot go on."""

    def __init__(self, readiness: Readiness) -> None:
        self.readiness = readiness
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Ask for the stop. Any number of times, so that a doubled Ctrl-C is harmless."""
        self.readiness.drain()
        self._stop.set()

    async def until_stopped(self) -> None:
        await self._stop.wait()


async def serve(service: AbstractAsyncContextManager[object], readiness: Readiness) -> None:
    """Hold `service` open until SIGTERM or SIGINT. Readiness turns false before anything closes."""
    lifecycle = Lifecycle(readiness)
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, lifecycle.stop)
    async with service:
        log.info("started")
        await lifecycle.until_stopped()
        log.info("stopping")
    log.info("stopped")


def run(service: AbstractAsyncContextManager[object], readiness: Readiness) -> None:
    """The main function of a service. A set-up that cannot work is one line on stderr and exit code 2."""
    try:
        uvloop.run(serve(service, readiness))
    except ConfigError as error:
        refuse_to_start(error)

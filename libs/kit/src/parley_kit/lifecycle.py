"""How a process lives: open in order, serve until a signal, say "not ready", close in reverse."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from types import FrameType

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
        self._opening: asyncio.Task[object] | None = None

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        """Ask for the stop. Any number of times, so that a doubled Ctrl-C is harmless."""
        self.readiness.drain()
        self._stop.set()
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None

    async def until_stopped(self) -> None:
        await self._stop.wait()

    async def hold(self, service: AbstractAsyncContextManager[object]) -> None:
        """Open `service`, hold it until the stop, close it. A stop while it still opens gives the opening up."""
        self._opening = asyncio.current_task()
        async with service:
            self._opening = None
            log.info("started")
            await self.until_stopped()
            log.info("stopping")


async def serve(service: AbstractAsyncContextManager[object], readiness: Readiness) -> None:
    """Hold `service` open until SIGTERM or SIGINT. Readiness turns false before anything closes."""
    lifecycle = Lifecycle(readiness)
    with _signals_to(lifecycle):
        try:
            await asyncio.create_task(lifecycle.hold(service), name="service")
        except asyncio.CancelledError:
            if not lifecycle.stopping:
                raise
        log.info("stopped")


@contextmanager
def _signals_to(lifecycle: Lifecycle) -> Iterator[None]:
    """Signals stop the lifecycle, and are ignored once it is over: a late one must not spoil a clean exit.

    Not `loop.add_signal_handler`: the loop gives the deadly default back when it closes.
    """
    loop = asyncio.get_running_loop()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(lifecycle.stop)

    for number in SIGNALS:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def run(service: AbstractAsyncContextManager[object], readiness: Readiness) -> None:
    """The main function of a service. A set-up that cannot work is one line on stderr and exit code 2."""
    try:
        uvloop.run(serve(service, readiness))
    except ConfigError as error:
        refuse_to_start(error)

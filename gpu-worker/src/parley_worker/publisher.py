"""Terminal events on the bus."""

from __future__ import annotations

import asyncio

from parley_bus.base import Bus
from parley_bus.events import GENERATION_EVENTS, to_record
from parley_kit.clock import Clock
from parley_kit.errors import Unavailable
from parley_kit.logs import get_logger
from parley_worker.endings import Event

log = get_logger(__name__)

SOURCE = "parley-worker"
RETRY_SECONDS = 0.5


class Publisher:
    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock

    async def publish(self, event: Event) -> None:
        """Returns once the bus holds the event; for as long as it is away, tries again. The caller sets the limit."""
        record = to_record(GENERATION_EVENTS, event.conversation_id, event, SOURCE, self._clock)
        while True:
            try:
                return await self._bus.publish(record)
            except Unavailable as error:
                log.warning("bus_unavailable", generation_id=event.generation_id, error=error.message)
                await asyncio.sleep(RETRY_SECONDS)

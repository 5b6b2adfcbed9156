"""Cancel signals: the fast way of a stop. The heartbeat brings what is missed here."""

from __future__ import annotations

from parley_kit.clock import Clock
from parley_kit.errors import Unavailable
from parley_kit.logs import get_logger
from parley_live.base import CancelSignals
from parley_worker.assignments import Assignments, Stop

log = get_logger(__name__)

RETRY_SECONDS = 1.0


async def hear_cancels(signals: CancelSignals, assignments: Assignments, clock: Clock) -> None:
    """Stop what users stopped, for ever."""
    while True:
        try:
            async with signals.listen() as generation_ids:
                async for generation_id in generation_ids:
                    assignments.stop(generation_id, Stop.CANCELLED)
        except Unavailable as error:
            log.warning("cancel_signals_unavailable", error=error.message)
        await clock.sleep(RETRY_SECONDS)

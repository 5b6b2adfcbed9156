"""Cancel signals: the fast way of a stop. The heartbeat brings what is missed here."""

from __future__ import annotations

from parley_live.base import CancelSignals
from parley_worker.assignments import Assignments, Stop


async def hear_cancels(signals: CancelSignals, assignments: Assignments) -> None:
    """Stop what users stop, until the signals end. Raises Unavailable."""
    async with signals.listen() as generation_ids:
        async for generation_id in generation_ids:
            assignments.stop(generation_id, Stop.CANCELLED)

"""Keeps the leases, and hears which generations to end."""

from __future__ import annotations

from collections.abc import Sequence

from parley_kit.clock import Clock
from parley_kit.errors import ParleyError
from parley_kit.logs import get_logger
from parley_worker.assignments import Assignment, Assignments, Stop
from parley_worker.core import ModelInfo
from parley_worker.ports import Coordinator, Verdict

log = get_logger(__name__)

INTERVAL_SECONDS = 2.0
RETRY_SECONDS = 0.5
FRESH_SECONDS = 6.0


class Heartbeats:
    """One call for all leases every 2 s, also without any: it announces the model.

    A lease that nothing renewed in time is treated as lost, so that a process that was paused, or cut off, stops
    writing by itself. That is a courtesy: what guarantees it is the fence of the stream, and the attempt in the
    terminal event.
    """

    def __init__(self, coordinator: Coordinator, model: ModelInfo, assignments: Assignments, clock: Clock) -> None:
        self._coordinator = coordinator
        self._model = model
        self._assignments = assignments
        self._clock = clock
        self._heard_at: float | None = None

    @property
    def fresh(self) -> bool:
        """Whether the conversation service answered a moment ago: without it there is nothing to claim."""
        return self._heard_at is not None and self._clock.monotonic() - self._heard_at < FRESH_SECONDS

    async def run(self) -> None:
        while True:
            await self._clock.sleep(await self._beat())

    async def _beat(self) -> float:
        """Returns the seconds until the next one."""
        held = self._assignments.leased()
        asked_at = self._clock.monotonic()
        try:
            verdict = await self._coordinator.heartbeat(
                self._model, [assignment.lease for assignment in held if assignment.lease]
            )
        except ParleyError as error:
            log.warning("heartbeat_failed", code=error.code, error=error.message)
            self._drop_expired()
            return RETRY_SECONDS
        self._heard_at = asked_at
        self._apply(verdict, held, asked_at)
        self._drop_expired()
        return INTERVAL_SECONDS

    def _apply(self, verdict: Verdict, asked_for: Sequence[Assignment], asked_at: float) -> None:
        for assignment in asked_for:
            if assignment.generation_id in verdict.lost:
                assignment.stop(Stop.LOST)
                continue
            assignment.renew(asked_at)
            if assignment.generation_id in verdict.cancelled:
                assignment.stop(Stop.CANCELLED)

    def _drop_expired(self) -> None:
        now = self._clock.monotonic()
        for assignment in self._assignments.leased():
            if not assignment.holds(now):
                log.warning("lease_expired", generation_id=assignment.generation_id)
                assignment.stop(Stop.LOST)

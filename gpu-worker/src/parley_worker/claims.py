"""Claiming: asking for the lease until there is an answer."""

from __future__ import annotations

import random

from parley_kit.clock import Clock
from parley_kit.errors import DeadlineExceeded, NotFound, Retryable
from parley_kit.logs import get_logger
from parley_proto.events.v1.events_pb2 import InferenceRequested
from parley_worker import metrics
from parley_worker.assignments import Assignment, Stop
from parley_worker.ports import Coordinator
from parley_worker.requests import deadline_of

log = get_logger(__name__)

FIRST_DELAY = 0.1
LONGEST_DELAY = 1.0


class Claims:
    def __init__(self, coordinator: Coordinator, model: str, clock: Clock) -> None:
        self._coordinator = coordinator
        self._model = model
        self._clock = clock

    async def claim(self, request: InferenceRequested, assignment: Assignment) -> bool:
        """Whether the request is settled: granted, then the assignment has the lease, or refused, then it has none.

        False when this worker closes before there was an answer. Past the generation's deadline no answer is needed.
        Raises what is wrong with the request.
        """
        delay = FIRST_DELAY
        while assignment.stopping is not Stop.HANDED_BACK:
            try:
                assignment.lease = await self._coordinator.claim(assignment.generation_id)
                self._count("refused" if assignment.lease is None else "granted")
                return True
            except NotFound:
                self._count("refused")
                return True
            except (Retryable, DeadlineExceeded) as error:
                self._count("unanswered")
                log.warning("claim_unanswered", generation_id=assignment.generation_id, code=error.code)
            if self._clock.now() >= deadline_of(request):
                return True
            await self._clock.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(2 * delay, LONGEST_DELAY)
        return False

    def _count(self, outcome: str) -> None:
        metrics.CLAIMS.labels(self._model, outcome).inc()

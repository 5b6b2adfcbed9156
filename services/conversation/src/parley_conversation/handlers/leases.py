"""What workers ask for: to take a generation, to keep it, to give it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from parley_conversation import metrics
from parley_conversation.catalogue import Catalogue
from parley_conversation.domain.generation import Failure, Generation
from parley_conversation.endings import Endings
from parley_conversation.ports import Stores
from parley_conversation.relay import Relay
from parley_kit.clock import Clock
from parley_kit.errors import Retryable, Unavailable
from parley_kit.logs import get_logger

log = get_logger(__name__)

ATTEMPTS_USED_UP = Failure(Unavailable.code, "the model's workers stopped in the middle of the answer: try again")


@dataclass(frozen=True, slots=True)
class Lease:
    """attempt: the fencing token. deadline: when the generation expires, whoever works on it."""

    attempt: int
    deadline: datetime
    seconds: float


@dataclass(frozen=True, slots=True)
class Pulse:
    """What a worker is told at a heartbeat: which answers to stop, and which leases it has lost."""

    cancelled: list[str]
    lost: list[str]


class LeaseHandlers:
    def __init__(
        self,
        stores: Stores,
        relay: Relay,
        endings: Endings,
        catalogue: Catalogue,
        clock: Clock,
        lease: timedelta,
    ) -> None:
        self._generations = stores.generations
        self._relay = relay
        self._endings = endings
        self._catalogue = catalogue
        self._clock = clock
        self._lease = lease

    async def claim(self, generation_id: str, worker_id: str) -> Lease | None:
        """The lease, or None: somebody holds it, or it is finished, stopped, expired or gone. Raises Unavailable."""
        now = self._clock.now()
        generation = await self._generations.claim(generation_id, worker_id, now, now + self._lease)
        metrics.CLAIMS.labels("refused" if generation is None else "granted").inc()
        if generation is None:
            return None
        if generation.attempt == 1:
            metrics.QUEUE_WAIT_SECONDS.observe((now - generation.created_at).total_seconds())
        return Lease(generation.attempt, generation.deadline, self._lease.total_seconds())

    async def heartbeat(self, worker_id: str, model: str, context_length: int, leases: Mapping[str, int]) -> Pulse:
        """Announce the model, and renew the leases (generation id -> attempt) that still hold. Raises Unavailable."""
        await self._catalogue.announce(model, context_length)
        if not leases:
            return Pulse([], [])
        renewals = await self._generations.renew(worker_id, leases, self._clock.now() + self._lease)
        held = {renewal.generation_id for renewal in renewals}
        return Pulse(
            cancelled=[renewal.generation_id for renewal in renewals if renewal.cancel],
            lost=[generation_id for generation_id in leases if generation_id not in held],
        )

    async def release(self, leases: Mapping[str, int], shutting_down: bool = False) -> None:
        """Queue them again at once; those that moved on are left alone. Raises Unavailable.

        A worker that shuts down has not failed at them: however often workers are restarted, no attempt is lost.
        """
        for generation_id, attempt in leases.items():
            if await self._generations.requeue(generation_id, attempt, self._clock.now(), shutting_down):
                generation = await self._generations.get(generation_id)
                if generation is not None:
                    await self._pass_on(generation)

    async def _pass_on(self, generation: Generation) -> None:
        """Queued again already: what cannot be published now is published by the sweep."""
        try:
            if generation.used_up:
                await self._endings.fail(generation, ATTEMPTS_USED_UP)
            else:
                await self._relay.pay(generation)
        except Retryable as error:
            log.warning("not_passed_on", generation_id=generation.id, reason=error.message)

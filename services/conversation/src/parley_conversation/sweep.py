"""The sweep: every second it finds what got stuck and moves it on, so that each generation ends within its deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from parley_conversation import metrics
from parley_conversation.domain.generation import Generation
from parley_conversation.domain.verdict import Patience, Verdict, judge
from parley_conversation.endings import Endings
from parley_conversation.handlers.leases import ATTEMPTS_USED_UP
from parley_conversation.ports import Stores
from parley_conversation.relay import Relay
from parley_kit.clock import Clock
from parley_kit.errors import ParleyError
from parley_kit.logs import get_logger

log = get_logger(__name__)

T = TypeVar("T")

ITEM_SECONDS = 5.0
AT_ONCE = 16
MOST_DEBTORS = 256
MOST_PURGES = 16
DEBT_AGE = timedelta(seconds=2)
"""A debt this old is nobody's any more: who made it pays it within moments or has died."""
PURGE_AGAIN = timedelta(seconds=10)
"""What was on its way into a deleted conversation has arrived by then, and goes with the second purge."""


class Sweep:
    """Any number of them may run at once: all that they do is a compare-and-set, or can be done twice."""

    def __init__(
        self,
        stores: Stores,
        relay: Relay,
        endings: Endings,
        clock: Clock,
        patience: Patience,
        interval: float,
        most_active: int,
    ) -> None:
        self._stores = stores
        self._relay = relay
        self._endings = endings
        self._clock = clock
        self._patience = patience
        self._interval = interval
        self._most = 2 * most_active
        self._purged: dict[str, float] = {}
        self._rounds: dict[str, Callable[[], Awaitable[None]]] = {
            "overdue": lambda: self._sweep_overdue(self._patience),
            "debts": self._sweep_debts,
            "purge": self._sweep_deleted,
        }

    async def run(self) -> None:
        """Until cancelled. At first each waiting request is published again: the bus may have ended with the process.

        The rounds go on side by side: a long purge delays no stop.
        """
        await self._attempt("overdue", self._sweep_overdue(replace(self._patience, unclaimed=timedelta(0))))
        await asyncio.gather(*(self._repeat(kind) for kind in self._rounds))

    async def tick(self) -> None:
        """One round of each kind. Never raises: what fails is logged, counted, and tried again in the next round."""
        for kind, sweep in self._rounds.items():
            await self._attempt(kind, sweep())

    async def _repeat(self, kind: str) -> None:
        while True:
            await self._attempt(kind, self._rounds[kind]())
            await self._clock.sleep(self._interval)

    async def _sweep_overdue(self, patience: Patience) -> None:
        now = self._clock.now()
        overdue = await _timely(
            self._stores.generations.overdue(now, now - patience.unclaimed, now - patience.cancel, self._most)
        )
        verdicts = [(generation, judge(generation, now, patience)) for generation in overdue]
        await self._all(
            (verdict, self._carry_out(generation, verdict))
            for generation, verdict in verdicts
            if verdict is not Verdict.WAIT
        )

    async def _carry_out(self, generation: Generation, verdict: Verdict) -> None:
        generations, now = self._stores.generations, self._clock.now()
        match verdict:
            case Verdict.CANCEL:
                await self._endings.cancel(generation)
            case Verdict.EXPIRE:
                await self._endings.expire(generation)
            case Verdict.FAIL:
                await self._endings.fail(generation, ATTEMPTS_USED_UP)
            case Verdict.REQUEUE:
                if await generations.requeue(generation.id, generation.attempt, now):
                    await self._pay(generation.id)
            case Verdict.REQUEST_AGAIN:
                if await generations.request_again(generation.id, now):
                    await self._pay(generation.id)

    async def _sweep_debts(self) -> None:
        indebted = await _timely(self._stores.generations.indebted(self._clock.now() - DEBT_AGE, MOST_DEBTORS))
        await self._all(("debt", self._relay.pay(generation)) for generation in indebted)

    async def _sweep_deleted(self) -> None:
        deleted = await _timely(self._stores.conversations.purgeable(MOST_PURGES))
        # What another process's sweep has forgotten is forgotten here too.
        self._purged = {each: since for each, since in self._purged.items() if each in deleted}
        await self._all(("purge", self._purge(conversation_id)) for conversation_id in deleted)

    async def _purge(self, conversation_id: str) -> None:
        """Twice, some seconds apart, before it is forgotten. What is in the making ends first, and its stream too."""
        for generation in await self._stores.generations.unsettled(conversation_id):
            if generation.state.terminal:
                await self._relay.pay(generation)
            else:
                await self._endings.cancel(generation)
        await self._stores.generations.delete_of(conversation_id)
        await self._stores.chat_log.delete(conversation_id)
        first = self._purged.setdefault(conversation_id, self._clock.monotonic())
        if self._clock.monotonic() - first >= PURGE_AGAIN.total_seconds():
            await self._stores.conversations.purged(conversation_id)
            self._purged.pop(conversation_id, None)

    async def _pay(self, generation_id: str) -> None:
        generation = await self._stores.generations.get(generation_id)
        if generation is not None:
            await self._relay.pay(generation)

    async def _all(self, repairs: Iterable[tuple[str, Awaitable[None]]]) -> None:
        """Each on its own, some at once: one that hangs or fails stops none of the others."""
        room = asyncio.Semaphore(AT_ONCE)

        async def repair(kind: str, work: Awaitable[None]) -> None:
            async with room:
                if await self._attempt(kind, _timely(work)):
                    metrics.REPAIRS.labels(kind).inc()

        await asyncio.gather(*(repair(kind, work) for kind, work in repairs))

    async def _attempt(self, kind: str, work: Awaitable[None]) -> bool:
        try:
            await work
        except (ParleyError, TimeoutError) as error:
            log.warning("sweep_failed", kind=kind, reason=str(error) or "timeout")
        except Exception:
            log.exception("sweep_failed", kind=kind)
        else:
            return True
        metrics.REPAIR_FAILURES.labels(kind).inc()
        return False


async def _timely(work: Awaitable[T]) -> T:
    """For a look and for a repair, not for a whole round: enough repairs that hang would end it for all others."""
    async with asyncio.timeout(ITEM_SECONDS):
        return await work

"""What becomes of a generation is the domain's to say; a store only has to change its document by such a rule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime
from functools import partial

from parley_conversation.domain import transitions
from parley_conversation.domain.generation import Generation, Outcome

Rule = Callable[[Generation], Generation | None]


class Changes(ABC):
    """The part of `Generations` that is the same in every store."""

    async def claim(
        self, generation_id: str, worker_id: str, now: datetime, lease_until: datetime
    ) -> Generation | None:
        return await self._change(generation_id, lambda it: transitions.claim(it, worker_id, now, lease_until), now)

    async def requeue(self, generation_id: str, attempt: int, now: datetime, handed_back: bool = False) -> bool:
        rule = partial(transitions.requeue, attempt=attempt, now=now, handed_back=handed_back)
        return await self._change(generation_id, rule, now) is not None

    async def request_again(self, generation_id: str, now: datetime) -> bool:
        return await self._change(generation_id, lambda it: transitions.request_again(it, now), now) is not None

    async def request_cancel(self, generation_id: str, now: datetime) -> Generation | None:
        return await self._change(generation_id, lambda it: transitions.request_cancel(it, now))

    async def finish(self, generation_id: str, attempt: int, outcome: Outcome) -> Generation | None:
        rule = partial(transitions.finish, attempt=attempt, outcome=outcome)
        return await self._change(generation_id, rule, outcome.finished_at)

    async def fence(self, generation_id: str, attempt: int) -> Generation | None:
        return await self._change(generation_id, lambda it: transitions.fence(it, attempt))

    @abstractmethod
    async def _change(self, generation_id: str, rule: Rule, now: datetime | None = None) -> Generation | None:
        """The document as `rule` changes it, or None, with nothing written, when it is absent or the rule refuses.

        now: when it was changed; None: as it says.
        """

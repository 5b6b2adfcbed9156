"""Generations: look at them, stop them."""

from __future__ import annotations

from collections.abc import Sequence

from parley_conversation.domain.generation import Generation, State
from parley_conversation.endings import Endings
from parley_conversation.handlers.access import Access
from parley_conversation.ports import Generations
from parley_conversation.relay import Relay
from parley_kit.clock import Clock
from parley_kit.errors import Retryable
from parley_kit.logs import get_logger
from parley_live import CancelSignals

log = get_logger(__name__)


class GenerationHandlers:
    def __init__(
        self,
        generations: Generations,
        access: Access,
        relay: Relay,
        endings: Endings,
        cancels: CancelSignals,
        clock: Clock,
    ) -> None:
        self._generations = generations
        self._access = access
        self._relay = relay
        self._endings = endings
        self._cancels = cancels
        self._clock = clock

    async def get_many(self, owner_id: str, generation_ids: Sequence[str]) -> Sequence[Generation]:
        """Those of the ids that exist and are the owner's. A finished one's answer is stored before it is shown."""
        found = await self._access.generations(owner_id, generation_ids)
        return [await self._presentable(generation) for generation in found]

    async def get(self, owner_id: str, generation_id: str) -> Generation:
        return await self._presentable(await self._access.generation(owner_id, generation_id))

    async def stop(self, owner_id: str, generation_id: str) -> Generation:
        """Returns once the stop is recorded. What nobody works on ends here; else the worker ends it, or the sweep."""
        generation = await self._access.generation(owner_id, generation_id)
        stopping = await self._generations.request_cancel(generation.id, self._clock.now())
        if stopping is None:
            return await self.get(owner_id, generation_id)
        if stopping.state is State.QUEUED:
            await self._end(stopping)
            return await self.get(owner_id, generation_id)
        await self._signal(stopping.id)
        return stopping

    async def abandon(self, conversation_id: str) -> None:
        """Stop what is in the making in a conversation that was deleted. Best effort: the purge ends it for good."""
        try:
            for generation in await self._generations.unsettled(conversation_id):
                if not generation.state.terminal:
                    await self._generations.request_cancel(generation.id, self._clock.now())
                    await self._signal(generation.id)
        except Retryable as error:
            log.warning("not_abandoned", conversation_id=conversation_id, reason=error.message)

    async def _end(self, generation: Generation) -> None:
        """A stop that is recorded is not taken back: what cannot be ended now is ended by the sweep."""
        try:
            await self._endings.cancel(generation)
        except Retryable as error:
            log.warning("not_ended_yet", generation_id=generation.id, reason=error.message)

    async def _presentable(self, generation: Generation) -> Generation:
        return await self._relay.store(generation) if generation.state.terminal else generation

    async def _signal(self, generation_id: str) -> None:
        """The fast way to a worker; the slow one is its next heartbeat."""
        try:
            await self._cancels.cancel(generation_id)
        except Retryable as error:
            log.warning("cancel_not_signalled", generation_id=generation_id, reason=error.message)

"""The one way a generation ends: a compare-and-set on (id, attempt), then what that owes."""

from __future__ import annotations

from collections.abc import Sequence

from parley_conversation import metrics
from parley_conversation.domain.generation import Failure, FinishReason, Generation, State
from parley_conversation.domain.outcome import EXPIRED, Ending, settle
from parley_conversation.ports import Generations
from parley_conversation.relay import Relay
from parley_kit.clock import Clock
from parley_kit.errors import Retryable
from parley_kit.logs import get_logger
from parley_live import Delta, Fenced, TokenStreams

log = get_logger(__name__)


class Endings:
    def __init__(self, generations: Generations, streams: TokenStreams, relay: Relay, clock: Clock) -> None:
        self._generations = generations
        self._streams = streams
        self._relay = relay
        self._clock = clock

    async def apply(self, generation_id: str, attempt: int, ending: Ending) -> bool:
        """The end that a worker told. False: that attempt no longer counts, and nothing changed. Raises Unavailable."""
        generation = await self._generations.get(generation_id)
        return generation is not None and await self._finish(generation, attempt, ending) is not None

    async def cancel(self, generation: Generation) -> Generation | None:
        return await self._force(generation, State.CANCELLED, FinishReason.CANCELLED, None)

    async def expire(self, generation: Generation) -> Generation | None:
        return await self._force(generation, State.EXPIRED, FinishReason.ERROR, EXPIRED)

    async def fail(self, generation: Generation, failure: Failure) -> Generation | None:
        return await self._force(generation, State.FAILED, FinishReason.ERROR, failure)

    async def _force(
        self, generation: Generation, state: State, reason: FinishReason, failure: Failure | None
    ) -> Generation | None:
        """End it without its worker, keeping what was streamed. None: it moved on. Raises Unavailable.

        The document is fenced first, then the stream, so that a worker that comes back late can change neither; only
        then is what it had streamed final. What was never claimed has no stream and no worker.
        """
        text, began = "", 0
        if generation.attempt > 0:
            fenced = await self._generations.fence(generation.id, generation.attempt)
            if fenced is None:
                return None
            generation = fenced
            try:
                deltas = await self._streams.raise_fence(generation.id, generation.attempt)
            except Fenced:
                return None
            text, began = streamed(deltas or (), generation.attempt)
        return await self._finish(generation, generation.attempt, Ending(state, text, began, reason, failure=failure))

    async def _finish(self, generation: Generation, attempt: int, ending: Ending) -> Generation | None:
        now = self._clock.now()
        finished = await self._generations.finish(generation.id, attempt, settle(generation, ending, now))
        if finished is None:
            return None
        metrics.GENERATIONS_FINISHED.labels(finished.state).inc()
        metrics.GENERATION_SECONDS.observe((now - finished.created_at).total_seconds())
        try:
            await self._relay.pay(finished)
        except Retryable as error:
            log.warning("debts_left", generation_id=finished.id, reason=error.message)
        return finished


def streamed(deltas: Sequence[Delta], default_began: int) -> tuple[str, int]:
    """The text that a stream holds, and the attempt that began it."""
    text = ""
    for delta in deltas:
        text = text[: delta.offset] + delta.text
    return text, deltas[-1].began if deltas else default_began

"""The ends of attempts, as workers publish them: applied, then settled. Delivery may repeat and come late."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from google.protobuf.message import Message

from parley_bus import Bus, Consumer, Delivery
from parley_bus.events import GENERATION_EVENTS, from_record
from parley_conversation import convert, metrics
from parley_conversation.domain.generation import FinishReason, State
from parley_conversation.domain.outcome import Ending, failed
from parley_conversation.endings import Endings
from parley_kit import telemetry
from parley_kit.clock import Clock
from parley_kit.errors import BadInput, Retryable
from parley_kit.logs import get_logger
from parley_proto.events.v1 import events_pb2 as events

log = get_logger(__name__)

GROUP = "parley-conversation"
AT_ONCE = 32
FETCH_SECONDS = 5.0
APPLY_SECONDS = 10.0
RETRY_SECONDS = 1.0
FIRST_DELAY = 0.2
LONGEST_DELAY = 5.0

Told = events.GenerationCompleted | events.GenerationFailed | events.GenerationCancelled


class GenerationConsumer:
    """Has at most 32 events in hand; each waits on its own for a store or a bus that is away."""

    def __init__(self, bus: Bus, endings: Endings, clock: Clock) -> None:
        self._bus = bus
        self._endings = endings
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled. While the bus or a store is away nothing is settled, so nothing is lost."""
        while True:
            try:
                async with self._bus.subscribe([GENERATION_EVENTS], GROUP) as consumer, asyncio.TaskGroup() as tasks:
                    await self._consume(consumer, tasks)
            except* Retryable as group:
                log.warning("consumer_paused", reason=str(group.exceptions[0]))
            except* Exception:
                log.exception("consumer_failed")
            await self._clock.sleep(RETRY_SECONDS)

    async def _consume(self, consumer: Consumer, tasks: asyncio.TaskGroup) -> None:
        in_hand: set[asyncio.Task[None]] = set()
        while True:
            while len(in_hand) >= AT_ONCE:
                await asyncio.wait(in_hand, return_when=asyncio.FIRST_COMPLETED)
            for delivery in await self._fetch(consumer, AT_ONCE - len(in_hand)):
                task = tasks.create_task(self._take(consumer, delivery), name="generation event")
                in_hand.add(task)
                task.add_done_callback(in_hand.discard)

    async def _fetch(self, consumer: Consumer, most: int) -> Sequence[Delivery]:
        """A bus that is away for a moment costs neither the membership nor what is in hand."""
        try:
            return await consumer.fetch(most, FETCH_SECONDS)
        except Retryable as error:
            log.warning("consumer_paused", reason=error.message)
            await self._clock.sleep(RETRY_SECONDS)
            return []

    async def _take(self, consumer: Consumer, delivery: Delivery) -> None:
        """Until it is settled: what cannot be applied or put aside now is tried again, and holds back no other."""
        delay = FIRST_DELAY
        while True:
            try:
                with telemetry.span("generation event", delivery.record.headers):
                    return await self._apply_or_reject(consumer, delivery)
            except (Retryable, TimeoutError) as error:
                metrics.EVENTS.labels("postponed").inc()
                log.warning("event_postponed", reason=str(error) or "timeout")
            await self._clock.sleep(random.uniform(0, delay))
            delay = min(2 * delay, LONGEST_DELAY)

    async def _apply_or_reject(self, consumer: Consumer, delivery: Delivery) -> None:
        """One bad record never blocks a partition: what cannot be understood or applied goes to the dead letters."""
        try:
            async with asyncio.timeout(APPLY_SECONDS):
                applied = await self._apply(from_record(delivery.record))
        except BadInput as error:
            await self._reject(consumer, delivery, error.message, error)
        except (Retryable, TimeoutError):
            raise
        except Exception as error:
            log.exception("event_not_applied")
            await self._reject(consumer, delivery, type(error).__name__, error)
        else:
            metrics.EVENTS.labels("applied" if applied else "outdated").inc()
            await consumer.settle(delivery)

    async def _apply(self, event: Message) -> bool:
        if not isinstance(event, Told):
            raise BadInput(f"{type(event).__name__} does not belong on this topic")
        return await self._endings.apply(event.generation_id, event.attempt, to_ending(event))

    async def _reject(self, consumer: Consumer, delivery: Delivery, reason: str, error: Exception) -> None:
        await consumer.reject(delivery, reason, type(error).__name__)
        metrics.EVENTS.labels("rejected").inc()
        log.warning("event_rejected", reason=reason)


def to_ending(event: Told) -> Ending:
    """Raises BadInput for an event that does not say how it ended."""
    usage = convert.usage_from(event.usage) if event.HasField("usage") else None
    match event:
        case events.GenerationCompleted():
            reason = convert.finish_reason_from(event.finish_reason)
            return Ending(State.COMPLETED, event.text, event.began_attempt, reason, usage)
        case events.GenerationCancelled():
            return Ending(State.CANCELLED, event.text, event.began_attempt, FinishReason.CANCELLED, usage)
        case events.GenerationFailed():
            return failed(convert.failure_from(event.failure), event.text, event.began_attempt, usage)

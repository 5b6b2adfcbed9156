"""One idempotent producer at a time, given up for a new one after every error that leaves the outcome open."""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError

from parley_bus.base import DLQ_SUFFIX, Record
from parley_bus.kafka import metrics
from parley_bus.kafka.settings import KafkaSettings
from parley_bus.kafka.wire import to_bytes, to_headers
from parley_kit.errors import BadInput, Unavailable
from parley_kit.logs import get_logger

log = get_logger(__name__)

MAX_RECORD_BYTES = 4 * 1024 * 1024
"""Key, value and headers together. The largest prompt that conversation publishes has 800 kB."""
SLACK_BYTES = 64 * 1024
"""For the headers that a dead letter has beyond its record, and for the frame around a record."""
REQUEST_SECONDS = 1.5
OPEN_SECONDS = 5.0
DISPOSE_SECONDS = 10.0
BACKOFF_SECONDS = 0.2


def max_bytes(topic: str) -> int:
    """Of a record: dead letters have room for the largest record and for why it is there."""
    return MAX_RECORD_BYTES + (SLACK_BYTES if topic.endswith(DLQ_SUFFIX) else 0)


class Producer:
    """Acknowledged by all replicas in sync, without lingering.

    An idempotent producer tries a batch again for ever, so after a timeout the record of a caller who has given up
    could still be written, behind its own repetition. Therefore the producer is closed first, and a new one, with a
    producer id of its own, opens only when nothing more can leave the old one.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._current: AIOKafkaProducer | None = None
        self._opening: asyncio.Task[None] | None = None
        self._disposals: set[asyncio.Task[None]] = set()
        self._closed = False

    async def send(self, record: Record, deadline: float) -> None:
        """Returns once it is acknowledged, at the latest at `deadline` on the loop's clock.

        Raises BadInput for a record over our cap or the topic's, else Unavailable or TimeoutError.
        """
        value, key, headers = record.value, to_bytes(record.key), to_headers(record.headers)
        size = len(value) + len(key) + sum(len(name) + len(text) for name, text in headers)
        if size > max_bytes(record.topic):
            raise BadInput(f"a record of {size} bytes for {record.topic}: more than {max_bytes(record.topic)}")
        async with asyncio.timeout_at(deadline):
            producer = await self._opened()
        try:
            async with asyncio.timeout_at(deadline):
                acknowledged = await producer.send(record.topic, value, key, headers=headers)
                await acknowledged
        except MessageSizeTooLargeError as error:
            self._give_up(producer)  # its next record would not follow what the broker has
            raise BadInput(f"a record of {size} bytes: more than the topic {record.topic} takes") from error
        except (KafkaError, TimeoutError) as error:  # not for a caller who is cancelled: nobody repeats its record
            self._give_up(producer)
            raise Unavailable(f"Kafka did not acknowledge a record: {error!r}") from error

    def _give_up(self, producer: AIOKafkaProducer) -> None:
        """Everyone who waits for it gets an error; the next `send` opens another."""
        if producer is self._current:
            self._current = None
            metrics.PRODUCERS_REPLACED.inc()
            log.warning("kafka_producer_given_up")
            self._dispose(producer)

    async def close(self) -> None:
        """Refuse everything from now on."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._current is not None:
            self._dispose(self._current)
            self._current = None
        await self._disposed()

    async def _opened(self) -> AIOKafkaProducer:
        while self._current is None:
            if self._closed:
                raise Unavailable("the bus is closed")
            if self._opening is None:
                self._opening = asyncio.create_task(self._open(), name="kafka producer opens")
                self._opening.add_done_callback(self._opening_done)
            opening = self._opening
            await asyncio.wait([opening])  # for its end, but as nobody's cancellation: closing cancels it
            if not opening.cancelled():
                opening.result()
        return self._current

    async def _disposed(self) -> None:
        """Whoever waits here and is cancelled cancels none of them."""
        if self._disposals:
            await asyncio.wait(self._disposals)

    async def _open(self) -> None:
        await self._disposed()
        producer = _new_producer(self._settings)
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await producer.start()
        except BaseException as error:
            self._dispose(producer)
            if isinstance(error, KafkaError | TimeoutError | OSError):
                raise Unavailable(f"Kafka cannot be reached at {self._settings.kafka_servers}") from error
            raise
        self._current = producer

    def _opening_done(self, task: asyncio.Task[None]) -> None:
        self._opening = None
        if not task.cancelled():
            task.exception()  # seen: whoever waited for it has it, and who gave up meanwhile need not

    def _dispose(self, producer: AIOKafkaProducer) -> None:
        disposal = asyncio.create_task(_dispose(producer), name="kafka producer closes")
        self._disposals.add(disposal)
        disposal.add_done_callback(self._disposals.discard)


def _new_producer(settings: KafkaSettings) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        bootstrap_servers=settings.servers,
        client_id=settings.process_name,
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_request_size=MAX_RECORD_BYTES + 2 * SLACK_BYTES,
        request_timeout_ms=round(REQUEST_SECONDS * 1000),
        retry_backoff_ms=round(BACKOFF_SECONDS * 1000),
    )


async def _dispose(producer: Any) -> None:
    """Close without the flush of `stop()`, which would go on sending what nobody waits for any more.

    aiokafka has no public way to drop what is queued, hence its inner parts: connections, sender, then the queue.
    """
    try:
        async with asyncio.timeout(DISPOSE_SECONDS):
            for connection in tuple(producer.client._conns.values()):
                connection.close()
            await producer._sender.close()
            queued = producer._message_accumulator
            queued.fail_all(KafkaConnectionError("the producer was given up"))
            for batch in [*chain(*queued._batches.values()), *queued._pending_batches]:
                batch._drain_waiter.exception()  # seen: those who wait for a place in it have given up too
            await producer.stop()
    except (KafkaError, TimeoutError, OSError) as error:
        log.warning("kafka_producer_not_closed", error=repr(error))
        await producer.client.close()

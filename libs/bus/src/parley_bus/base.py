"""The event bus port: topics of keyed records, read by groups of consumers. Modelled on Kafka."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

DLQ_SUFFIX = ".dlq"


@dataclass(frozen=True, slots=True)
class Record:
    """What is published. `value` is opaque to the bus; headers are short text, such as `ce_id` and `traceparent`."""

    topic: str
    key: str
    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A record as one consumer of a group received it. `offset` counts within the partition, from 0."""

    record: Record
    partition: int
    offset: int


class Consumer(Protocol):
    """One member of a group. Records of one key arrive in the order in which they were published.

    A delivery stays owed until it is settled: when this consumer closes or dies, what it had not settled is delivered
    again to another member of the group (at least once, so effects must be idempotent).
    """

    async def fetch(self, most: int, timeout: float) -> Sequence[Delivery]:
        """Up to `most` records, waiting up to `timeout` seconds for the first. Empty when none came.

        Nothing is fetched ahead of this call: what is not asked for waits in the topic and counts as lag. Raises
        Unavailable when the bus cannot be reached.
        """
        ...

    async def settle(self, delivery: Delivery) -> None:
        """Never deliver this record to the group again. In any order: the committed position is the lowest unsettled.

        Harmless when the partition has moved to another member meanwhile.
        """
        ...

    async def reject(self, delivery: Delivery, reason: str, error: str) -> None:
        """Publish the raw record to `<topic>.dlq`, then settle. `error` is the class of what went wrong.

        Its headers gain `dlq_reason`, `dlq_error`, `dlq_topic`, `dlq_partition` and `dlq_offset`. A record too
        large for a letter has one of these headers alone. Raises Unavailable; then the record is still owed.
        """
        ...


class Bus(Protocol):
    """Order per key; at least once to each group; a group shares the partitions of a topic among its members."""

    async def publish(self, record: Record) -> None:
        """Returns once the bus holds the record as durably as it ever will.

        Raises Unavailable; then the record may or may not be held. Raises BadInput for one that the bus can never hold.
        """
        ...

    def subscribe(self, topics: Sequence[str], group: str) -> AbstractAsyncContextManager[Consumer]:
        """Join `group`; leaving hands its partitions on at once.

        While the bus is away it either raises Unavailable or joins as soon as it can, and `fetch` raises meanwhile.
        A group that is new to a topic starts at the first record that the topic still holds.
        """
        ...

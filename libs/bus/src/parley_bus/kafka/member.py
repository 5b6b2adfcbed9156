"""One membership in a group, from joining to leaving. When it fails, a new one takes its place."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from parley_bus.base import Delivery
from parley_bus.kafka import metrics
from parley_bus.kafka.settings import KafkaSettings
from parley_bus.kafka.window import Window
from parley_bus.kafka.wire import to_delivery
from parley_kit.logs import get_logger

log = get_logger(__name__)

Windows = dict[TopicPartition, Window]

COMMIT_LINGER_SECONDS = 0.02
COMMIT_SECONDS = 1.5
WATCH_SECONDS = 1.0
LEAVE_SECONDS = 2.0
HEARTBEAT_MS = 800
"""Also how soon a member hears that another has come or gone."""
FETCH_WAIT_MS = 200
"""How long the broker keeps a question while there is nothing: what comes is told at once. But partitions that were
just assigned, or whose records were left to wait, are in the next question only."""
FETCH_BYTES = 64 * 1024
"""Of a partition at a time: a partition with a long queue does not keep the others waiting, and memory stays small."""
METADATA_MS = 10_000
"""How late it may hear of partitions that were added, or of a topic that was made anew."""
NEVER_MS = 2**31 - 1
NOWHERE = TopicPartition("parley.nowhere", 0)


class Member(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Static membership (KIP-345): a process that dies and comes back under its name goes on with its partitions at
    once, without a rebalance for the others. One that leaves tells the broker so, and its partitions move at once.

    Heartbeats and rebalances go on in aiokafka's tasks whether or not anybody fetches: a worker without room keeps its
    partitions for as long as it lives, and what waits in them is offered to others by the conversation service.
    """

    def __init__(
        self, settings: KafkaSettings, topics: Sequence[str], group: str, instance: str, windows: Windows
    ) -> None:
        self._group = group
        self._topics = topics
        self._windows = windows
        self._committed: dict[TopicPartition, int] = {}
        self._committing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._error: Exception | None = None
        self._consumer: Any = _new_consumer(settings, group, instance)

    async def join(self) -> None:
        """Returns with the first assignment. Raises KafkaError."""
        self._consumer.subscribe(self._topics, listener=self)
        await self._consumer.start()

    async def take(self, most: int, timeout: float) -> list[Delivery]:
        """Up to `most` new records, waiting up to `timeout` seconds, also for the end of a rebalance.

        Nothing is awaited once records are taken: a cancelled call has taken none.
        """
        taken: list[Delivery] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                batches = await self._consumer.getmany(timeout_ms=round(timeout * 1000), max_records=most)
                for partition, messages in batches.items():
                    window = self._windows.setdefault(partition, Window())
                    taken += [to_delivery(message) for message in messages if window.hand_out(message.offset)]
        return taken

    def wake(self) -> None:
        """Something was settled."""
        self._wake.set()

    def fail(self, error: Exception) -> None:
        """Somebody met an error that this membership does not get over."""
        self._error = error
        self._wake.set()

    async def serve(self) -> None:
        """Commit what is settled, soon after it is. Ends by raising what broke the membership."""
        loop = asyncio.get_running_loop()
        watched = loop.time()
        while self._error is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCH_SECONDS):
                    await self._wake.wait()
                    await asyncio.sleep(COMMIT_LINGER_SECONDS)  # one commit for what is settled together
            self._wake.clear()
            await self.commit()
            if loop.time() - watched >= WATCH_SECONDS:
                watched = loop.time()
                await self._raise_errors()
                await self._measure()
        raise self._error

    async def commit(self) -> None:
        """The lowest unsettled position of each partition. What fails is logged, and due again."""
        try:
            async with asyncio.timeout(COMMIT_SECONDS), self._committing:
                if due := self._due():
                    await self._consumer.commit(due)
                    self._committed |= due
        except (CommitFailedError, IllegalStateError) as error:  # the partitions are moving, or have moved
            log.info("commit_outdated", group=self._group, error=repr(error))
        except (KafkaError, TimeoutError) as error:
            log.warning("commit_failed", group=self._group, error=repr(error))

    async def leave(self) -> None:
        """Commit, and hand the partitions on. Within 4 s, whatever the broker does."""
        coordinator = self._consumer._coordinator
        if coordinator is not None:
            await self.commit()
            coordinator._group_instance_id = None  # else aiokafka would not tell the broker that a static member leaves
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._consumer.stop()
        except (KafkaError, TimeoutError, OSError) as error:
            log.warning("kafka_not_left", group=self._group, error=repr(error))
            await self._abandon()
        for topic in self._topics:
            metrics.LAG.labels(topic, self._group).set(0)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        for window in self._windows.values():
            window.reread()
        await self.commit()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """What stays keeps its window: Kafka delivers from the committed position, and what is in hand is left out."""
        for partition in self._windows.keys() - assigned:
            del self._windows[partition]
        before, self._committed = self._committed, {}
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                for partition in tuple(self._windows):
                    committed = await self._consumer.committed(partition)
                    if committed is not None:
                        self._windows[partition].rebase(committed)
                    elif partition in before:  # the topic was deleted and made anew
                        del self._windows[partition]
        except (KafkaError, TimeoutError) as error:  # at worst a position goes back, and records come twice
            log.warning("committed_unknown", group=self._group, error=repr(error))

    def _due(self) -> dict[TopicPartition, int]:
        assigned = self._consumer.assignment()
        positions = {partition: window.position for partition, window in self._windows.items() if partition in assigned}
        return {
            partition: position
            for partition, position in positions.items()
            if position is not None and position != self._committed.get(partition)
        }

    async def _raise_errors(self) -> None:
        """aiokafka tells its errors to who fetches; nobody may do so for long, and its tasks must not lie dead."""
        with suppress(TimeoutError):
            async with asyncio.timeout(WATCH_SECONDS):
                await self._consumer.getmany(NOWHERE, timeout_ms=0)
        fetching = self._consumer._fetcher._fetch_task
        if fetching.done():
            fetching.result()
            raise KafkaError("the fetcher has ended")

    async def _measure(self) -> None:
        lags = dict.fromkeys(self._topics, 0)
        with suppress(TimeoutError, IllegalStateError):  # a rebalance came between: measured at the next turn
            async with asyncio.timeout(WATCH_SECONDS):
                for partition in self._consumer.assignment():
                    lags[partition.topic] += await self._lag(partition)
        for topic, lag in lags.items():
            metrics.LAG.labels(topic, self._group).set(lag)

    async def _lag(self, partition: TopicPartition) -> int:
        end: int | None = self._consumer.highwater(partition)
        window = self._windows.get(partition)
        if end is None:  # not read yet
            return 0
        position: int | None = window.position if window is not None else None
        if position is None:
            position = await self._consumer.position(partition)
        return max(0, end - (position or 0))

    async def _abandon(self) -> None:
        """End aiokafka's tasks by force: one that went on would keep partitions that nobody reads."""
        coordinator, fetcher = self._consumer._coordinator, self._consumer._fetcher
        tasks: list[asyncio.Task[Any] | None] = []
        if coordinator is not None:
            tasks += [coordinator._coordination_task, coordinator._heartbeat_task, coordinator._commit_refresh_task]
            tasks += [fetcher._fetch_task, *fetcher._pending_tasks]
        alive = [task for task in tasks if task is not None]
        for task in alive:
            task.cancel()
        await asyncio.gather(*alive, return_exceptions=True)
        await self._consumer._client.close()


def _new_consumer(settings: KafkaSettings, group: str, instance: str) -> AIOKafkaConsumer:
    session_ms = round(settings.kafka_session_seconds * 1000)
    return AIOKafkaConsumer(
        bootstrap_servers=settings.servers,
        client_id=instance,
        group_id=group,
        group_instance_id=instance,
        session_timeout_ms=session_ms,
        heartbeat_interval_ms=min(HEARTBEAT_MS, session_ms // 4),
        max_poll_interval_ms=NEVER_MS,
        rebalance_timeout_ms=session_ms,
        request_timeout_ms=session_ms + 2_000,  # more than a join may take
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_WAIT_MS,
        max_partition_fetch_bytes=FETCH_BYTES,
        retry_backoff_ms=200,
        metadata_max_age_ms=METADATA_MS,
    )

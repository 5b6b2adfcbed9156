"""The one connection on which a server pushes to this process: a channel for each stream that is read, one for cancels.

Pub/Sub, not a blocking XREAD over all the streams: that would have to be given anew, with every stream's name, after
each entry of any of them, so that a token would cost in proportion to the streams that are open.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from time import monotonic
from typing import Protocol

from redis.asyncio.connection import AbstractConnection

from parley_kit.errors import Unavailable
from parley_kit.logs import get_logger
from parley_live.redis import metrics
from parley_live.redis.commands import away
from parley_live.redis.connector import AWAY, Connector

log = get_logger(__name__)

CONNECT_SECONDS = 1.0
QUIET_SECONDS = 0.4
"""After that the server is asked whether it is there."""
PONG_SECONDS = 0.9
BACKOFF_SECONDS = (0.05, 1.0)


class Subscriber(Protocol):
    """Of one channel. `heard` is called only between `joined` and `left`."""

    def joined(self) -> None:
        """Everything that is pushed from now on is heard."""
        ...

    def heard(self, message: bytes) -> None: ...

    def left(self, error: Unavailable | None) -> None:
        """Something may be missed until the next `joined`. error: why the server cannot be reached, if it was tried."""
        ...


class Feed:
    """Keeps its subscribers joined, while `run` runs, whatever becomes of the connection."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._subscribers: dict[bytes, Subscriber] = {}
        self._joining: set[bytes] = set()
        self._leaving: set[bytes] = set()
        self._unconfirmed: Counter[bytes] = Counter()
        self._changed = asyncio.Event()
        self._pulse = asyncio.Event()
        self._pulse_at = 0.0
        self._error: Unavailable | None = None

    def subscribe(self, channel: bytes, subscriber: Subscriber) -> None:
        """One subscriber a channel."""
        self._subscribers[channel] = subscriber
        self._leaving.discard(channel)
        self._joining.add(channel)
        self._changed.set()
        if self._error is not None:
            subscriber.left(self._error)

    def unsubscribe(self, channel: bytes) -> None:
        del self._subscribers[channel]
        self._joining.discard(channel)
        self._leaving.add(channel)
        self._changed.set()

    async def run(self) -> None:
        """Connected as soon as somebody subscribes, and again whenever the connection is lost."""
        failures = 0
        while True:
            await self._wanted()
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    connection = await self._connector.connect()
            except AWAY as error:
                failures += 1
                self._lose(away(self._connector.name, error))
            else:
                failures = 0
                await self._hold(connection)
            least, most = BACKOFF_SECONDS
            await asyncio.sleep(random.uniform(0, min(most, least * 2**failures)))

    async def _wanted(self) -> None:
        while not self._subscribers:
            self._error = None  # nobody is looking any more: the next one is not told what was
            self._changed.clear()
            await self._changed.wait()

    async def _hold(self, connection: AbstractConnection) -> None:
        """Until it is lost. One that was merely closed is opened again before anybody is told that Redis is away."""
        self._error = None
        self._joining, self._leaving = set(self._subscribers), set()
        self._unconfirmed.clear()
        self._heard_something()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._receive(connection))
                tasks.create_task(self._send_changes(connection))
                tasks.create_task(self._feel_pulse(connection))
        except* TimeoutError as silence:
            self._lose(away(self._connector.name, silence.exceptions[0]))
        except* AWAY as lost:
            log.info("live_feed_lost", error=repr(lost.exceptions[0]))
            self._lose(None)
        except* Exception:
            log.exception("live_feed_failed")
            self._lose(None)
        finally:
            await connection.disconnect(nowait=True)

    async def _send_changes(self, connection: AbstractConnection) -> None:
        while True:
            self._changed.clear()
            if self._leaving:
                leaving, self._leaving = self._leaving, set()
                await connection.send_command("UNSUBSCRIBE", *leaving, check_health=False)
            if self._joining:
                joining, self._joining = self._joining, set()
                self._unconfirmed.update(joining)
                await connection.send_command("SUBSCRIBE", *joining, check_health=False)
            await self._changed.wait()

    async def _receive(self, connection: AbstractConnection) -> None:
        while True:
            reply = await connection.read_response(disable_decoding=True)
            self._heard_something()
            if not isinstance(reply, list) or reply[0] == b"pong":
                continue
            kind, channel, value = reply
            subscriber = self._subscribers.get(channel)
            if kind == b"subscribe":
                self._confirm(channel, subscriber)
            elif kind == b"message" and subscriber is not None and not self._unconfirmed[channel]:
                self._tell(subscriber, value)

    def _tell(self, subscriber: Subscriber, message: bytes) -> None:
        try:
            subscriber.heard(message)
        except Exception:  # not of ours: readers find what there is in the stream itself
            log.exception("live_push_undecodable")

    def _confirm(self, channel: bytes, subscriber: Subscriber | None) -> None:
        """Only the last of several subscriptions counts: before it, the channel was left once more."""
        self._unconfirmed[channel] -= 1
        if not self._unconfirmed[channel]:
            del self._unconfirmed[channel]
            if subscriber is not None and channel not in self._joining:
                subscriber.joined()

    async def _feel_pulse(self, connection: AbstractConnection) -> None:
        """A server that is stopped, or behind a dead network, closes nothing. Raises TimeoutError."""
        while True:
            quiet = monotonic() - self._pulse_at
            if quiet < QUIET_SECONDS:
                await asyncio.sleep(QUIET_SECONDS - quiet)
                continue
            self._pulse.clear()
            async with asyncio.timeout(PONG_SECONDS):
                await connection.send_command("PING", check_health=False)
                await self._pulse.wait()

    def _heard_something(self) -> None:
        self._pulse_at = monotonic()
        self._pulse.set()

    def _lose(self, error: Unavailable | None) -> None:
        metrics.FEEDS_LOST.inc()
        self._error = error
        if error is not None:
            log.warning("live_feed_away", error=error.message)
        for subscriber in list(self._subscribers.values()):
            subscriber.left(error)

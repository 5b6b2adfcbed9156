"""Commands to one server: whatever is asked in one turn of the event loop travels as one pipeline."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from time import monotonic
from typing import Any

from hiredis import pack_command
from prometheus_client import Histogram
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError

from parley_kit.errors import BadInput, Unavailable
from parley_live.redis import metrics
from parley_live.redis.connector import AWAY, Connector
from parley_live.redis.patience import Patience
from parley_live.redis.scripts import Script

Argument = str | bytes | int

LANES = 2
"""Connections, so that one long reply does not hold up everything else."""
PIPELINE = 256
WAITING = 10_000
"""Commands that may wait for a lane; more is a server that does not keep up."""
LANE_SECONDS = 1.2
PATIENCE_SECONDS = 1.5
"""From the asking to Unavailable. Above LANE_SECONDS, so that most are told why."""

CLOSING = ConnectionError("closing")


class _Command:
    """Packed by who asks, so that what cannot be sent is the trouble of nobody else in the pipeline."""

    __slots__ = ("packed", "reply")

    def __init__(self, arguments: tuple[Argument, ...]) -> None:
        try:
            self.packed: bytes = pack_command(arguments)  # type: ignore[arg-type] # its stub says 1-tuple
        except UnicodeEncodeError:
            raise BadInput("not a key: half a surrogate pair cannot be sent", field="key") from None
        self.reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def answer(self, value: object) -> None:
        if not self.reply.done():
            self.reply.set_result(value)


class Commands:
    """Asks and awaits, while `run` runs. Nothing is sent twice: who asks decides whether to ask again."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._waiting: deque[_Command] = deque()
        self._asked = asyncio.Event()
        self._patience = Patience(PATIENCE_SECONDS)
        self._seconds: dict[str, Histogram] = {}

    async def execute(self, name: str, *arguments: Argument) -> Any:
        """The reply to a command, in bytes. name: for the metrics. Raises Unavailable within 2 s."""
        return await self._timed(name, self._ask(arguments))

    async def evaluate(self, script: Script, *arguments: Argument, times: int = 1) -> Any:
        """The reply to a script. Its keys come first: those of `times` things. Raises Unavailable within 2 s."""
        return await self._timed(script.name, self._evaluate(script, script.keys * times, arguments))

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(LANES):
                    tasks.create_task(self._lane(), name=f"redis {self._connector.name}")
        finally:
            while self._waiting:
                self._waiting.popleft().answer(CLOSING)

    async def _timed(self, name: str, asking: Awaitable[Any]) -> Any:
        started = monotonic()
        try:
            reply = await asking
        except (*AWAY, Unavailable) as error:
            metrics.UNAVAILABLE.labels(name).inc()
            raise away(self._connector.name, error) from error
        if (seconds := self._seconds.get(name)) is None:
            seconds = self._seconds[name] = metrics.COMMAND_SECONDS.labels(name)
        seconds.observe(monotonic() - started)
        return reply

    async def _evaluate(self, script: Script, keys: int, arguments: tuple[Argument, ...]) -> Any:
        give_up = monotonic() + PATIENCE_SECONDS
        try:
            return await self._ask(("EVALSHA", script.sha, keys, *arguments))
        except NoScriptError:  # a server that was restarted
            async with asyncio.timeout(give_up - monotonic()):
                return await self._ask(("EVAL", script.text, keys, *arguments))

    async def _ask(self, arguments: tuple[Argument, ...]) -> Any:
        command = _Command(arguments)
        if len(self._waiting) >= WAITING:
            raise Unavailable(f"{WAITING} commands wait already")
        self._waiting.append(command)
        self._asked.set()
        self._patience.limit(command.reply)
        reply = await command.reply
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def _lane(self) -> None:
        lane = _Lane(self._connector)
        try:
            while True:
                while not self._waiting:
                    self._asked.clear()
                    await self._asked.wait()
                pipeline = [self._waiting.popleft() for _ in range(min(PIPELINE, len(self._waiting)))]
                if wanted := [command for command in pipeline if not command.reply.done()]:
                    await lane.deliver(wanted)
        finally:
            await lane.close()


class _Lane:
    """One connection, opened when it is needed."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._connection: AbstractConnection | None = None

    async def deliver(self, pipeline: list[_Command]) -> None:
        """Every command is answered: with its reply, or with why there is none."""
        failure: Exception = CLOSING
        try:
            async with asyncio.timeout(LANE_SECONDS):
                await self._deliver(pipeline)
        except AWAY as error:
            failure = error
            await self.close()
        finally:
            for command in pipeline:
                command.answer(failure)

    async def _deliver(self, pipeline: list[_Command]) -> None:
        connection = await self._connected()
        packed = b"".join(command.packed for command in pipeline)
        demoted = False
        await connection.send_packed_command(packed, check_health=False)
        for command in pipeline:
            try:
                command.answer(await connection.read_response(disable_decoding=True))
            except ResponseError as error:
                command.answer(error)
                demoted = demoted or isinstance(error, ReadOnlyError)
        if demoted:  # a replica now; who connects anew may find the master
            await self.close()

    async def _connected(self) -> AbstractConnection:
        if self._connection is not None and await self._connection.can_read():
            await self.close()  # the server has closed it, or says what nobody asked for
        if self._connection is None:
            self._connection = await self._connector.connect()
        return self._connection

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)


def away(name: str, error: BaseException) -> Unavailable:
    """Redis is away, as callers are told."""
    return Unavailable(f"Redis at {name} is away: {str(error) or type(error).__name__}")

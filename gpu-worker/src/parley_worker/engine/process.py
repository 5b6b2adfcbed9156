"""One life of the engine process, as the asyncio side sees it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field

from msgspec import DecodeError

from parley_worker.config import EngineConfig
from parley_worker.engine.errors import EngineConfigError, EngineDied
from parley_worker.engine.messages import Command, Event, Failed, Inbound, Ready, Stop, encode, write_config

_READ_BYTES = 1 << 18
_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class EngineProcess:
    """A started process and the socket to it. It lives until `close`, its own death, or ours."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    inbound: Inbound[Event] = field(default_factory=lambda: Inbound[Event](Event))

    @classmethod
    async def spawn(cls, config: EngineConfig) -> EngineProcess:
        ours, theirs = socket.socketpair()
        with theirs:
            command = ("-m", "parley_worker.engine", str(theirs.fileno()), str(os.getpid()), write_config(config))
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL
            )
        return cls(process, *await asyncio.open_unix_connection(sock=ours))

    async def wait_ready(self, timeout_seconds: float) -> Ready:
        """What the engine can hold. EngineConfigError: it cannot serve this; EngineDied: it ended or took too long."""
        try:
            async with asyncio.timeout(timeout_seconds):
                events = await self.receive()
        except TimeoutError as error:
            raise EngineDied(f"the engine was not ready within {timeout_seconds:.0f} s") from error
        match events:
            case [Ready() as ready]:
                return ready
            case [Failed(reason)]:
                raise EngineConfigError(reason)
        raise EngineDied("the engine ended while it was starting")

    def send(self, command: Command) -> None:
        """Queue a command; to a process that is gone it goes nowhere, which `receive` tells soon enough."""
        self.writer.write(encode(command))

    async def receive(self) -> list[Event]:
        """The next messages, at least one; [] when the process is gone. No timeout: an idle engine says nothing.

        EngineDied: it says what an engine never says, as one of another version does.
        """
        events: list[Event] = []
        try:
            while not events and (data := await self.reader.read(_READ_BYTES)):
                events = self.inbound.feed(data)
        except ConnectionError:
            return []
        except DecodeError as error:
            raise EngineDied(f"the engine is not understood: {error}") from error
        return events

    async def close(self) -> None:
        """End the process: by word, or by force if it does not listen. Returns when it is gone."""
        self.send(Stop())
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
        finally:
            await self.reap()

    async def reap(self) -> None:
        """Make sure that nothing of the process is left."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.kill()
        await self.process.wait()
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

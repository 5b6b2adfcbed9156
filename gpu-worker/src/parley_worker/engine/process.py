"""One life of the engine process, as the asyncio side sees it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass

from parley_worker.config import EngineConfig
from parley_worker.engine.errors import EngineConfigError, EngineDied
from parley_worker.engine.messages import Message, encode, write_config

# A line of outputs has a few dozen bytes for each slot.
_LINE_BYTES = 1 << 24
_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class EngineProcess:
    """A started process and the socket to it. It lives until `close`, its own death, or ours."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def spawn(cls, config: EngineConfig) -> EngineProcess:
        ours, theirs = socket.socketpair()
        with theirs:
            command = ("-m", "parley_worker.engine", str(theirs.fileno()), str(os.getpid()), write_config(config))
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL
            )
        return cls(process, *await asyncio.open_unix_connection(sock=ours, limit=_LINE_BYTES))

    async def wait_ready(self, timeout_seconds: float) -> Message:
        """What the engine can hold. EngineConfigError: it cannot serve this; EngineDied: it ended or took too long."""
        try:
            async with asyncio.timeout(timeout_seconds):
                message = await self.receive()
        except TimeoutError as error:
            raise EngineDied(f"the engine was not ready within {timeout_seconds:.0f} s") from error
        if message is None:
            raise EngineDied("the engine ended while it was starting")
        if "failed" in message:
            raise EngineConfigError(message["failed"])
        ready: Message = message["ready"]
        return ready

    def send(self, message: Message) -> None:
        """Queue a message; to a process that is gone it goes nowhere, which `receive` tells soon enough."""
        self.writer.write(encode(message))

    async def receive(self) -> Message | None:
        """The next message; None when the process is gone. No timeout: an idle engine says nothing."""
        try:
            line = await self.reader.readline()
        except ConnectionError:
            return None
        message: Message | None = json.loads(line) if line.endswith(b"\n") else None
        return message

    async def close(self) -> None:
        """End the process: by word, or by force if it does not listen. Returns when it is gone."""
        self.send({"stop": True})
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

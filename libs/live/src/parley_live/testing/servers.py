"""A Redis of a test's own, to be killed, stopped and emptied; and a proxy that loses what was answered."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import TypeAlias

from redis.asyncio import Redis
from redis.exceptions import RedisError

from parley_live.redis import RedisLive

PATIENCE = 20.0

Open: TypeAlias = Callable[..., AbstractAsyncContextManager[RedisLive]]
"""RedisLive on the servers of these URLs."""


class RedisServer:
    """A redis-server process that keeps its port, not its data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        command = shutil.which("redis-server")
        assert command is not None, "redis-server is not installed: apt-get install redis-server"
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        self._process = await asyncio.create_subprocess_exec(
            command, *options, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(PATIENCE), self.client() as client:
            while True:
                with suppress(RedisError):
                    await client.ping()
                    return
                await asyncio.sleep(0.02)

    def client(self) -> Redis:
        return Redis.from_url(self.url)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    async def kill(self) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self.signal(signal.SIGKILL)
        await self._process.wait()


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[RedisServer]:
    server = RedisServer(folder)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()


class Proxy:
    """Between a client and a server. While `deaf`, what the server answers is lost; while `holding`, nothing passes.

    `port` is where the next connection leads.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._free = asyncio.Event()
        self._free.set()
        self.deaf = False
        self.url = ""

    def hold(self) -> None:
        self._free.clear()

    def release(self) -> None:
        self._free.set()

    def cut(self) -> None:
        """Close every connection."""
        for writer in self._writers:
            writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as listening:
            self.url = f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}/0"
            try:
                yield self
            finally:
                self.release()
                self.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers |= {writer, back}
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass(reader, back, answers=False))
                tasks.create_task(self._pass(there, writer, answers=True))
        finally:
            self._writers -= {writer, back}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self._free.wait()
                if not (answers and self.deaf):
                    writer.write(data)
                    await writer.drain()
        writer.close()


async def until_waiting(live: RedisLive, generation: str) -> None:
    """Until a reader is connected, has read all there is, and waits for what is pushed. Readers tell nobody."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await asyncio.sleep(0.001)
            watch = live._servers.of(generation).watches._watches.get(f"gen:{{{generation}}}".encode())
            if watch is not None and watch._joined and watch._waiting:
                return

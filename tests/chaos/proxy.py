"""A TCP proxy that misbehaves on demand: it delays, throttles, goes silent, cuts in the middle of a message, resets."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

CHUNK_BYTES = 16 * 1024
CONNECT_SECONDS = 5.0
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time at all: closing sends RST and forgets what was not yet sent."""


@dataclass(slots=True)
class Weather:
    """What happens to bytes on their way. delay: seconds for each chunk. rate: bytes a second. refusing: a connection
    is reset as soon as it is made. cut_after: so many bytes more, over all connections, then each is reset.
    """

    delay: float = 0.0
    rate: float | None = None
    refusing: bool = False
    cut_after: int | None = None


class Proxy:
    """Listens on loopback and forwards to one address. Weather changes take effect on connections that are open too."""

    def __init__(self, port: int, target: Callable[[], int]) -> None:
        """Open it with `open_proxy`."""
        self.port = port
        self.connections = 0
        self._target = target
        self._weather = Weather()
        self._moving = asyncio.Event()
        self._moving.set()
        self._pairs: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}

    def delay(self, seconds: float) -> None:
        """Each chunk, in each direction, comes later."""
        self._weather.delay = seconds

    def throttle(self, bytes_per_second: float) -> None:
        self._weather.rate = bytes_per_second

    def go_silent(self) -> None:
        """Half open: connections stay, new ones are taken, and not a byte comes through."""
        self._moving.clear()

    def refuse(self) -> None:
        """Reset what is open, and whatever comes."""
        self._weather.refusing = True
        self.reset()

    def cut_after(self, count: int) -> None:
        """Forward `count` bytes more, then reset every connection: somebody holds half of a message."""
        self._weather.cut_after = count

    def reset(self) -> None:
        """Reset every connection that is open now."""
        for writers in self._pairs.values():
            for writer in writers:
                _reset(writer)

    def heal(self) -> None:
        """Fair weather. What was held back in silence comes through now."""
        self._weather = Weather()
        self._moving.set()

    async def close(self) -> None:
        """End every connection."""
        self.reset()
        for task in self._pairs:
            task.cancel()
        await asyncio.gather(*self._pairs, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection, to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._pairs[task] = [writer]
        self.connections += 1
        try:
            if not self._weather.refusing:
                await self._join(reader, writer, self._pairs[task])
        finally:
            for end in self._pairs.pop(task):
                _reset(end)

    async def _join(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ends: list[asyncio.StreamWriter]
    ) -> None:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(CONNECT_SECONDS):
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target())
            ends.append(far_writer)
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward until the end of the stream, and pass the end on."""
        while chunk := await reader.read(CHUNK_BYTES):
            await self._moving.wait()
            weather = self._weather
            if weather.delay or weather.rate:
                await asyncio.sleep(weather.delay + (len(chunk) / weather.rate if weather.rate else 0.0))
            chunk = self._allowed(chunk)
            writer.write(chunk)
            await writer.drain()
            if self._weather.cut_after == 0:
                self._weather.cut_after = None
                self.reset()
        await self._moving.wait()
        writer.write_eof()

    def _allowed(self, chunk: bytes) -> bytes:
        if self._weather.cut_after is None:
            return chunk
        chunk = chunk[: self._weather.cut_after]
        self._weather.cut_after -= len(chunk)
        return chunk


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


@asynccontextmanager
async def open_proxy(target: Callable[[], int], port: int = 0) -> AsyncIterator[Proxy]:
    """Listen on `port` (0: a free one) for the block. target: the port behind it, asked for at each connection."""
    proxy = Proxy(port, target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", port)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()

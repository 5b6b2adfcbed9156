"""The proxy of the fault harness: fair weather changes nothing, and each fault is what it says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from chaos.proxy import Proxy, open_proxy

SHORT = 0.2
DELAY = 1.0
LONG = 5.0


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """In front of a server that sends back whatever it gets."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with open_proxy(lambda: server.sockets[0].getsockname()[1]) as opened:
        yield opened
    server.close()


class Line:
    """A client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def receive(self, count: int) -> bytes:
        async with asyncio.timeout(LONG):
            return await self._reader.readexactly(count)

    async def rest(self) -> bytes:
        async with asyncio.timeout(LONG):
            return await self._reader.read()


@pytest.fixture
async def line(proxy: Proxy) -> AsyncIterator[Line]:
    opened = await connect(proxy)
    yield opened
    opened.writer.transport.abort()


async def connect(proxy: Proxy) -> Line:
    return Line(*await asyncio.open_connection("127.0.0.1", proxy.port))


async def test_in_fair_weather_every_byte_and_the_end_come_through(line: Line) -> None:
    data = bytes(range(256)) * 4096
    sending = asyncio.create_task(line.send(data))
    assert await line.receive(len(data)) == data
    await sending
    line.writer.write_eof()
    assert await line.rest() == b""


async def test_a_delay_is_felt_both_ways_and_heals(proxy: Proxy, line: Line) -> None:
    proxy.delay(DELAY)
    started = time.monotonic()
    await line.send(b"ping")
    assert await line.receive(4) == b"ping"
    assert time.monotonic() - started >= 2 * DELAY
    proxy.heal()
    started = time.monotonic()
    await line.send(b"ping")
    await line.receive(4)
    assert time.monotonic() - started < 2 * DELAY


async def test_a_throttle_sets_the_pace(proxy: Proxy, line: Line) -> None:
    proxy.throttle(100_000)
    started = time.monotonic()
    await line.send(b"x" * 20_000)
    assert await line.receive(20_000) == b"x" * 20_000
    assert time.monotonic() - started >= SHORT


async def test_silence_holds_everything_back_without_a_close_and_gives_it_later(proxy: Proxy, line: Line) -> None:
    proxy.go_silent()
    await line.send(b"anyone?")
    late = await connect(proxy)
    await late.send(b"hello")
    for waiting in (line, late):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SHORT):
                await waiting.rest()
    proxy.heal()
    assert await line.receive(7) == b"anyone?"
    assert await late.receive(5) == b"hello"
    late.writer.transport.abort()


async def test_a_reset_is_one_and_the_next_connection_works(proxy: Proxy, line: Line) -> None:
    await line.send(b"ping")
    await line.receive(4)
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        await line.rest()
    again = await connect(proxy)
    await again.send(b"ping")
    assert await again.receive(4) == b"ping"
    again.writer.transport.abort()
    assert proxy.connections == 2


async def test_a_cut_leaves_half_of_a_message(proxy: Proxy, line: Line) -> None:
    proxy.cut_after(6)  # four there, two back
    await line.send(b"ping")
    assert await line.receive(2) == b"pi"
    with pytest.raises(ConnectionResetError):
        await line.rest()


async def test_refusing_resets_old_and_new_until_it_heals(proxy: Proxy, line: Line) -> None:
    await line.send(b"ping")
    await line.receive(4)
    proxy.refuse()
    with pytest.raises(ConnectionResetError):
        await line.rest()
    with pytest.raises(ConnectionError):
        await (await connect(proxy)).rest()
    proxy.heal()
    again = await connect(proxy)
    await again.send(b"ping")
    assert await again.receive(4) == b"ping"
    again.writer.transport.abort()


async def test_nothing_behind_it_looks_like_a_reset() -> None:
    async with open_proxy(lambda: 1) as proxy:
        with pytest.raises(ConnectionError):
            await (await connect(proxy)).rest()

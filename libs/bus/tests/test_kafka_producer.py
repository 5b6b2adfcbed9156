"""The producer of the bus while it opens and closes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from parley_bus import Record
from parley_bus.kafka import KafkaSettings, producer
from parley_bus.kafka.producer import Producer
from parley_kit.errors import Unavailable

PATIENCE = 10.0
RECORD = Record("topic", "key", b"")


@pytest.fixture
async def silent_server() -> AsyncIterator[str]:
    """Takes connections and says nothing until they are closed."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


def deadline() -> float:
    return asyncio.get_running_loop().time() + PATIENCE


async def test_who_waits_for_a_producer_that_closes_is_told_so(silent_server: str) -> None:
    """With an error of the port: a task that nobody cancelled is not to end as cancelled."""
    opening = Producer(KafkaSettings.load(kafka_servers=silent_server))
    publishing = asyncio.create_task(opening.send(RECORD, deadline()))
    await asyncio.sleep(0.1)  # connected, and now waiting for an answer
    await opening.close()
    with pytest.raises(Unavailable):
        await publishing
    with pytest.raises(Unavailable):
        await opening.send(RECORD, deadline())


async def test_closing_waits_for_a_producer_that_was_given_up(
    silent_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while another waits to open behind it: else its connections would live on."""
    disposing, released, disposed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def dispose(_producer: object) -> None:
        disposing.set()
        await released.wait()
        disposed.set()

    monkeypatch.setattr(producer, "_dispose", dispose)
    opening = Producer(KafkaSettings.load(kafka_servers=silent_server))
    given_up: Any = object()
    opening._dispose(given_up)
    publishing = asyncio.create_task(opening.send(RECORD, deadline()))
    await disposing.wait()
    closing = asyncio.create_task(opening.close())
    await asyncio.sleep(0)
    released.set()
    await closing
    assert disposed.is_set()
    with pytest.raises(Unavailable):
        await publishing

"""The operations of one socket, whatever its client does with their answers."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

from parley_gateway.caller import Caller
from parley_gateway.entrypoints.ws.frames import Frame
from parley_gateway.entrypoints.ws.operations import MAX_OPERATIONS, Operations
from parley_gateway.gateway import Gateway


async def test_answers_that_nobody_reads_do_not_pile_up() -> None:
    """Each operation has ended but for its last frame, so no limit on those that run would hold them."""
    reads = asyncio.Event()
    sent: list[str] = []

    async def send(frame: str) -> None:
        await reads.wait()
        sent.append(frame)

    operations = Operations(cast("Gateway", SimpleNamespace(engine=None)), cast("Caller", None), send)
    before = asyncio.all_tasks()
    starting = asyncio.create_task(_start(operations, 3 * MAX_OPERATIONS))
    for _ in range(4 * MAX_OPERATIONS):
        await asyncio.sleep(0)
    assert not starting.done()
    assert len(asyncio.all_tasks() - before - {starting}) == MAX_OPERATIONS
    reads.set()
    await starting
    await operations.close()
    assert len(sent) >= 2 * MAX_OPERATIONS
    assert asyncio.all_tasks() == before


async def test_a_close_ends_those_that_are_sending_their_last_frame() -> None:
    async def send(_frame: str) -> None:
        await asyncio.Event().wait()

    operations = Operations(cast("Gateway", SimpleNamespace(engine=None)), cast("Caller", None), send)
    before = asyncio.all_tasks()
    await _start(operations, 3)
    for _ in range(5):
        await asyncio.sleep(0)
    await operations.close()
    assert asyncio.all_tasks() == before


async def _start(operations: Operations, count: int) -> None:
    """Operations that are refused, each with one frame, before they ask anybody."""
    for number in range(count):
        await operations.start(Frame("subscribe", str(number), {}))
        await asyncio.sleep(0)

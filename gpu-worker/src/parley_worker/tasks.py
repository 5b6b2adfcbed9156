"""Tasks with an owner."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from parley_kit.clock import Clock
from parley_kit.errors import ParleyError
from parley_kit.logs import get_logger

log = get_logger(__name__)

T = TypeVar("T")

RESTART_SECONDS = 0.5


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they are gone. What they raised is for whoever looks at their results."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def running(work: Coroutine[Any, Any, T], name: str) -> AsyncIterator[asyncio.Task[T]]:
    """`work` as a task that ends with the block at the latest."""
    task = asyncio.create_task(work, name=name)
    try:
        yield task
    finally:
        await end(task)


async def forever(work: Callable[[], Awaitable[None]], name: str, clock: Clock) -> None:
    """Do `work` again whenever it ends or fails, so that what was away a moment ago is found again."""
    while True:
        try:
            await work()
        except ParleyError as error:
            log.warning("part_failed", part=name, code=error.code, error=error.message)
        except Exception:
            log.exception("part_failed", part=name)
        await clock.sleep(RESTART_SECONDS)

"""Tasks with an owner."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


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

"""Helpers of streams: never silent for long, ended from outside, and sent to readers that may be slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


async def paced(
    source: AsyncGenerator[bytes, None], beat: bytes, seconds: float, ending: asyncio.Task[Any]
) -> AsyncGenerator[bytes, None]:
    """The items of `source`, and `beat` whenever none came for `seconds`, until it or `ending` is done.

    Closes the source.
    """
    async with aclosing(source):
        following = asyncio.ensure_future(anext(source, None))
        try:
            while True:
                done, _ = await asyncio.wait({following, ending}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
                if ending in done:
                    return
                if not done:
                    yield beat
                    continue
                item = following.result()
                if item is None:
                    return
                yield item
                following = asyncio.ensure_future(anext(source, None))
        finally:
            await cancel(following)


async def cancel(*tasks: asyncio.Future[Any]) -> None:
    """Cancel the tasks and wait until they have ended, however they do."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


@asynccontextmanager
async def running(coroutine: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """A task that lives no longer than the block."""
    task = asyncio.create_task(coroutine)
    try:
        yield task
    finally:
        await cancel(task)


async def first_of(*coroutines: Coroutine[Any, Any, T]) -> T:
    """The result of whichever ends first; the others are cancelled."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        await cancel(*tasks)

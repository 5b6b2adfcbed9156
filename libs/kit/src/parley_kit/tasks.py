"""Several pieces of work side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


async def gather_all(works: Iterable[Awaitable[A]]) -> list[A]:
    """The results of all, made side by side. Raises when all are over: what the first of those that failed raised."""
    outcomes = await asyncio.gather(*works, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes  # type: ignore[return-value] # none is an error


async def both(one: Awaitable[A], other: Awaitable[B]) -> tuple[A, B]:
    """The results of two, made side by side. Raises when both are over, the error of `one` first."""
    first, second = await asyncio.gather(one, other, return_exceptions=True)
    if isinstance(first, BaseException):
        raise first
    if isinstance(second, BaseException):
        raise second
    return first, second

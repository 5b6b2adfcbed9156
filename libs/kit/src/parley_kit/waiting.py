"""Waiting, at the start of a service, for a server that it cannot do without."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina

from parley_kit.errors import Unavailable
from parley_kit.logs import get_logger

log = get_logger(__name__)

T = TypeVar("T")

LONGEST_PAUSE_SECONDS = 2.0


async def until_available(server: str, work: Callable[[], Awaitable[T]]) -> T:
    """What `work` returns, once it no longer raises Unavailable. `server` is for the log.

    No timeout of its own: the stop of the process cancels it. Pauses have full jitter, so that services that wait for
    the same server do not come back all at once.
    """
    retries = stamina.retry_context(
        on=Unavailable,
        attempts=None,
        timeout=None,
        wait_initial=0.0,
        wait_max=LONGEST_PAUSE_SECONDS,
        wait_jitter=LONGEST_PAUSE_SECONDS,
    )
    async for attempt in retries:
        with attempt:
            try:
                return await work()
            except Unavailable as error:
                log.warning("waiting_for_server", server=server, reason=error.message, attempt=attempt.num)
                raise
    raise AssertionError("attempts are endless")

"""What must happen without anybody asking: revocations outlive the hot state, and old sessions are forgotten."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from parley_auth.handlers.sessions import revocation_seconds
from parley_auth.ports import AccessTokens, RefreshFamilies
from parley_kit.clock import Clock
from parley_kit.errors import Retryable
from parley_kit.logs import get_logger
from parley_live import Revocations

log = get_logger(__name__)

PERIOD_SECONDS = 60.0
WATCH_SECONDS = 2.0
MARKS = tuple(f"auth:upkeep:{number}" for number in range(32))
MARK_SECONDS = 86_400.0
"""Revocations of nothing: where one is gone, the hot state was lost. So many that of several servers each has some."""


class Upkeep:
    """At the start, every minute, and when the hot state was lost: ended sessions are revoked again for as long as
    their access tokens live, so that neither a restart nor that loss makes one good again for more than a moment."""

    def __init__(self, families: RefreshFamilies, tokens: AccessTokens, revocations: Revocations, clock: Clock) -> None:
        self._families = families
        self._tokens = tokens
        self._revocations = revocations
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled. A bug in one turn is logged, and does not stop the next."""
        due_at = self._clock.monotonic() + PERIOD_SECONDS
        while True:
            await self._clock.sleep(WATCH_SECONDS)
            try:
                if self._clock.monotonic() >= due_at or await self._was_lost():
                    done = await self.turn()
                    due_at = self._clock.monotonic() + (PERIOD_SECONDS if done else WATCH_SECONDS)
            except Exception:
                log.exception("upkeep_failed")

    async def turn(self) -> bool:
        """Once. False: a store is away, and the rest is for the next turn."""
        try:
            now = self._clock.now()
            alive = now - timedelta(seconds=revocation_seconds(self._tokens))
            await self._mark()
            await self._revoke_ended(now, alive)
            await self._families.purge(now, alive)
        except Retryable as error:
            log.warning("upkeep_postponed", reason=error.message)
            return False
        return True

    async def _mark(self) -> None:
        """Before the revocations: if they are lost while they are written, so are the marks."""
        await asyncio.gather(*(self._revocations.revoke(mark, MARK_SECONDS) for mark in MARKS))

    async def _was_lost(self) -> bool:
        """While the hot state is away there is nothing to be done for it."""
        try:
            return not all(await asyncio.gather(*map(self._revocations.is_revoked, MARKS)))
        except Retryable:
            return False

    async def _revoke_ended(self, now: datetime, alive: datetime) -> None:
        """alive: what ended before it has no access token left that could be good."""
        for family in await self._families.ended_since(alive):
            if family.ended_at is not None:
                await self._revocations.revoke(family.id, (family.ended_at - alive).total_seconds())

"""What must happen without anybody asking: revocations outlive the hot state, and old sessions are forgotten."""

from __future__ import annotations

from datetime import datetime, timedelta

from parley_auth.handlers.sessions import revocation_seconds
from parley_auth.ports import AccessTokens, RefreshFamilies
from parley_kit.clock import Clock
from parley_kit.errors import Retryable
from parley_kit.logs import get_logger
from parley_live import Revocations

log = get_logger(__name__)

PERIOD_SECONDS = 60.0


class Upkeep:
    """At the start and every minute. Ended sessions are revoked again for as long as their access tokens live, so
    that neither a restart nor the loss of the hot state makes one good again."""

    def __init__(self, families: RefreshFamilies, tokens: AccessTokens, revocations: Revocations, clock: Clock) -> None:
        self._families = families
        self._tokens = tokens
        self._revocations = revocations
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled. A bug in one turn is logged, and does not stop the next."""
        while True:
            await self._clock.sleep(PERIOD_SECONDS)
            try:
                await self.turn()
            except Exception:
                log.exception("upkeep_failed")

    async def turn(self) -> None:
        """Once. What a store that is away keeps it from is for the next turn."""
        try:
            now = self._clock.now()
            alive = now - timedelta(seconds=revocation_seconds(self._tokens))
            await self._revoke_ended(now, alive)
            await self._families.purge(now, alive)
        except Retryable as error:
            log.warning("upkeep_postponed", reason=error.message)

    async def _revoke_ended(self, now: datetime, alive: datetime) -> None:
        """alive: what ended before it has no access token left that could be good."""
        for family in await self._families.ended_since(alive):
            if family.ended_at is not None:
                await self._revocations.revoke(family.id, (family.ended_at - alive).total_seconds())

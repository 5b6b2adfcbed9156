"""Sessions: started, refreshed, ended."""

from __future__ import annotations

import secrets

from parley_auth import metrics
from parley_auth.domain.family import Family, RefreshToken, digest_of, is_open, is_reuse, new_token
from parley_auth.domain.session import Session
from parley_auth.domain.user import User
from parley_auth.ports import AccessTokens, RefreshFamilies, Users
from parley_auth.throttle import Throttle
from parley_kit.clock import Clock
from parley_kit.errors import Unauthenticated
from parley_kit.ids import new_id
from parley_kit.logs import get_logger
from parley_live import Revocations

log = get_logger(__name__)

SECRET_BYTES = 32
REVOCATION_MARGIN_SECONDS = 60
"""A refresh that runs while its family ends may still mint a token a little later, and clocks differ a little."""


def revocation_seconds(tokens: AccessTokens) -> int:
    """How long after a session's end one of its access tokens could still be good."""
    return tokens.lifetime_seconds + REVOCATION_MARGIN_SECONDS


class Sessions:
    def __init__(
        self,
        families: RefreshFamilies,
        users: Users,
        tokens: AccessTokens,
        revocations: Revocations,
        throttle: Throttle,
        clock: Clock,
    ) -> None:
        self._families = families
        self._users = users
        self._tokens = tokens
        self._revocations = revocations
        self._throttle = throttle
        self._clock = clock

    async def start(self, user: User) -> Session:
        """The session of a user who has just proved to be that user."""
        now = self._clock.now()
        family = Family(new_id(), user.id, now)
        secret = secrets.token_urlsafe(SECRET_BYTES)
        await self._families.start(family, new_token(family, secret, None, now))
        return self._session(family, secret, user)

    async def refresh(self, secret: str) -> Session:
        """The session with new tokens. Raises Unauthenticated; a reused token ends the session besides."""
        family, token = await self._find(secret)
        await self._throttle.refresh(family.id)
        user = await self._users.find(family.user_id)
        now = self._clock.now()
        redeemed = await self._families.redeem(token.digest, now) if user and is_open(family, token, now) else None
        if user is None or redeemed is None:
            raise _ended()
        if is_reuse(redeemed, now):
            await self._end_for_reuse(family)
            raise _ended()
        if token.first_used_at is not None:
            metrics.SIBLINGS.inc()
        return await self._continue(family, redeemed, user)

    async def sign_out(self, secret: str) -> None:
        """End the session of a refresh token, in whatever state that is. An unknown token has nothing to end."""
        found = await self._families.find(digest_of(secret))
        if found is not None:
            await self._end(found[0])

    async def _find(self, secret: str) -> tuple[Family, RefreshToken]:
        found = await self._families.find(digest_of(secret))
        if found is None:
            raise _ended()
        return found

    async def _continue(self, family: Family, parent: RefreshToken, user: User) -> Session:
        secret = secrets.token_urlsafe(SECRET_BYTES)
        await self._families.issue(new_token(family, secret, parent, self._clock.now()))
        return self._session(family, secret, user)

    async def _end_for_reuse(self, family: Family) -> None:
        metrics.REUSES.inc()
        log.warning("refresh_token_reused", session_id=family.id, user_id=family.user_id)
        await self._end(family)

    async def _end(self, family: Family) -> None:
        """Durably first: if the second step fails, upkeep repeats it."""
        await self._families.end(family.id, self._clock.now())
        await self._revocations.revoke(family.id, revocation_seconds(self._tokens))

    def _session(self, family: Family, secret: str, user: User) -> Session:
        access_token = self._tokens.mint(user.id, family.id, self._clock.now())
        return Session(access_token, secret, self._tokens.lifetime_seconds, user)


def _ended() -> Unauthenticated:
    return Unauthenticated("the session has ended: sign in again")

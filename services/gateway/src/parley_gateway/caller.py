"""Who is asking: an access token that is verified when somebody needs to know, and watched while a stream lives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from parley_kit.clock import Clock
from parley_kit.context import Principal, RequestContext, budget
from parley_kit.errors import DeadlineExceeded, ParleyError, Unauthenticated, Unavailable
from parley_kit.logs import get_logger
from parley_kit.tokens import IsRevoked

log = get_logger(__name__)

VERIFY_SECONDS = 5.0
WATCH_SECONDS = 2.0

Verify = Callable[[str], Awaitable[Principal]]


@dataclass(frozen=True, slots=True)
class Caller:
    """One client. `authorization` is the header's value as it came; `address` is for throttles.

    A bad token is an error only for what needs a user, so that a client whose token has expired can still refresh it.
    """

    authorization: str | None
    address: str
    verify: Verify

    @property
    def token(self) -> str | None:
        """The bearer token, if the header has that form."""
        scheme, _, token = (self.authorization or "").partition(" ")
        return token.strip() or None if scheme.lower() == "bearer" else None

    async def principal(self) -> Principal:
        """The user. Raises Unauthenticated, or Unavailable while that cannot be told."""
        if self.authorization is None:
            raise Unauthenticated("sign in first: this needs an access token")
        if self.token is None or not self.token.isascii():
            raise Unauthenticated("authorization must be: Bearer <access token>")
        try:
            with budget(VERIFY_SECONDS):
                return await self.verify(self.token)
        except DeadlineExceeded:
            raise Unavailable("nobody can verify access tokens for the moment") from None

    def request_context(self) -> RequestContext:
        """What calls to other services carry."""
        token = self.token
        return RequestContext(access_token=token if token is not None and token.isascii() else None)

    async def until_invalid(self, clock: Clock, is_revoked: IsRevoked) -> str:
        """Returns, with the reason, when the token is no longer good; looks every two seconds.

        That nobody can tell for the moment is no reason.
        """
        principal: Principal | None = None
        while True:
            try:
                principal = principal or await self.principal()
                if await is_revoked(principal.session_id):
                    return "the session has ended"
            except Unauthenticated as error:
                return error.message
            except ParleyError:
                log.info("token_not_checked")
            left = WATCH_SECONDS if principal is None else principal.expires_at - clock.now().timestamp()
            if left <= 0:
                return "the access token has expired"
            await clock.sleep(min(left, WATCH_SECONDS))

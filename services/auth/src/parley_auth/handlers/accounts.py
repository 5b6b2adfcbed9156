"""Signing up and in."""

from __future__ import annotations

from contextlib import suppress

from parley_auth import metrics
from parley_auth.domain.session import Session
from parley_auth.domain.user import (
    MAX_PASSWORD,
    Account,
    User,
    canonical_email,
    check_display_name,
    check_password,
    new_user,
    parse_email,
)
from parley_auth.handlers.sessions import Sessions
from parley_auth.ports import Passwords, Users
from parley_auth.throttle import Throttle
from parley_kit.clock import Clock
from parley_kit.errors import Overloaded, Unauthenticated


class Accounts:
    def __init__(
        self, users: Users, passwords: Passwords, sessions: Sessions, throttle: Throttle, clock: Clock
    ) -> None:
        self._users = users
        self._passwords = passwords
        self._sessions = sessions
        self._throttle = throttle
        self._clock = clock

    async def sign_up(self, email: str, password: str, display_name: str, address: str) -> Session:
        """A new account and its first session. Raises BadInput, Conflict (the e-mail is taken), RateLimited."""
        email = parse_email(email)
        check_password(password)
        check_display_name(display_name)
        await self._throttle.sign_up(address)
        user = new_user(email, display_name, self._clock.now())
        await self._users.add(Account(user, await self._passwords.hash(password)))
        return await self._sessions.start(user)

    async def sign_in(self, email: str, password: str, address: str) -> Session:
        """A new session. Raises RateLimited, or Unauthenticated: the same words after the same work for any cause."""
        email = canonical_email(email)
        await self._throttle.sign_in(address, email)
        account = await self._users.find_account(email)
        password_hash = account.password_hash if account else None
        if len(password) > MAX_PASSWORD:
            password = ""  # nobody's, and cheap to refuse
        if not await self._passwords.verify(password_hash, password) or account is None:
            raise Unauthenticated("the e-mail or the password is wrong")
        await self._modernise(account, password)
        return await self._sessions.start(account.user)

    async def _modernise(self, account: Account, password: str) -> None:
        """Only now is the password at hand to be hashed with today's parameters; when busy, another time will do."""
        if not self._passwords.is_outdated(account.password_hash):
            return
        with suppress(Overloaded):
            new = await self._passwords.hash(password)
            if await self._users.replace_hash(account.user.id, account.password_hash, new):
                metrics.REHASHES.inc()

    async def get_user(self, user_id: str) -> User:
        """The user that an access token named. Raises Unauthenticated when the account is no more."""
        user = await self._users.find(user_id)
        if user is None:
            raise Unauthenticated("the account is no more")
        return user

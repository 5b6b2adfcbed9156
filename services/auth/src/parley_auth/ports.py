"""What the service needs from outside. Stores raise `parley_kit.errors.Unavailable` when they are away.

What a store's method returned from is durable. Users, families and tokens are documents of their own, and no method
needs more than single-document atomicity. Times are aware UTC datetimes, kept to the millisecond at least.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from parley_auth.domain.family import Family, RefreshToken
from parley_auth.domain.user import Account, User


class Users(Protocol):
    async def add(self, account: Account) -> None:
        """Store a new account. Raises Conflict when the e-mail is taken; of concurrent adds exactly one succeeds."""
        ...

    async def find(self, user_id: str) -> User | None: ...

    async def find_account(self, email: str) -> Account | None:
        """The account of an e-mail in its canonical form."""
        ...

    async def replace_hash(self, user_id: str, old: str, new: str) -> bool:
        """Compare-and-set of the password hash: False, and nothing changed, when it is not `old` any more."""
        ...


class RefreshFamilies(Protocol):
    async def start(self, family: Family, token: RefreshToken) -> None:
        """Store a new family and its first token; a crash in between leaves only what `purge` forgets."""
        ...

    async def find(self, digest: bytes) -> tuple[Family, RefreshToken] | None:
        """The token and its family, used, spent or ended as they may be."""
        ...

    async def redeem(self, digest: bytes, now: datetime) -> RefreshToken | None:
        """Note that a token is used: first that its parent is spent, then, in one atomic step, when its first use was.

        Returns the token as it stands after that; first_used_at is that of the very first use, whoever else redeems
        at the same moment. A crash between the two leaves a spent parent, which nobody needs who has its successor.
        None: there is no such token.
        """
        ...

    async def issue(self, token: RefreshToken) -> None:
        """Add a successor to its parent's family."""
        ...

    async def end(self, family_id: str, now: datetime) -> bool:
        """End the family for good; the time of the first end stays. False: it had ended, or there is none."""
        ...

    async def ended_since(self, moment: datetime) -> Sequence[Family]:
        """The families that ended at `moment` or later."""
        ...

    async def purge(self, now: datetime, ended_before: datetime) -> None:
        """Forget the tokens that have expired, and the families that have none left.

        Those of a family that ended at `ended_before` or later stay, so that its end is not forgotten too early.
        """
        ...


class Passwords(Protocol):
    """Slow hashes, made elsewhere than on the event loop. Raises Overloaded when too many wait."""

    async def hash(self, password: str) -> str:
        """A salted hash that carries its own parameters."""
        ...

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is the one of the hash. None, for want of a user: the same work, then False."""
        ...

    def is_outdated(self, password_hash: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        ...


class AccessTokens(Protocol):
    def mint(self, user_id: str, session_id: str, now: datetime) -> str:
        """A signed access token that lives from `now` for `lifetime_seconds`."""
        ...

    def jwks(self) -> Mapping[str, Any]:
        """The public keys (RFC 7517), those of earlier signing keys included."""
        ...

    @property
    def lifetime_seconds(self) -> int: ...

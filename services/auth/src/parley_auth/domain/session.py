"""What a client holds after it signed in."""

from __future__ import annotations

from dataclasses import dataclass, field

from parley_auth.domain.user import User


@dataclass(frozen=True, slots=True)
class Session:
    """expires_in: seconds that the access token lives. Its repr shows no secret."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    user: User

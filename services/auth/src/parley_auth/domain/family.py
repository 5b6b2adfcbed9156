"""Refresh tokens: a session is a family of them, a tree that grows by one token at each refresh.

The first use of a token gives it a successor. Used again, it is either a client that never got the answer or a thief:
- within GRACE of its first use, with no successor used so far: the answer may be lost, and it gets a sibling;
- else some client did get the answer, or somebody came late: the token is reused, and the whole family ends.
A sibling is a full token: two tabs that refreshed at the same moment both go on. (RFC 9700, section 4.14.)
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

GRACE = timedelta(seconds=10)
TOKEN_LIFE = timedelta(days=30)
FAMILY_LIFE = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Family:
    """A session: what one sign-in began. Its id is the `sid` of access tokens."""

    id: str
    user_id: str
    started_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A token as it is kept: by its digest alone. `spent`: a successor of it has been used."""

    digest: bytes
    family_id: str
    parent: bytes | None
    expires_at: datetime
    first_used_at: datetime | None = None
    spent: bool = False


def digest_of(secret: str) -> bytes:
    """SHA-256: a secret of 256 random bits needs no slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def new_token(family: Family, secret: str, parent: RefreshToken | None, now: datetime) -> RefreshToken:
    """A token issued now: good for TOKEN_LIFE, but never longer than its family."""
    expires_at = min(now + TOKEN_LIFE, family.started_at + FAMILY_LIFE)
    return RefreshToken(digest_of(secret), family.id, parent.digest if parent else None, expires_at)


def is_open(family: Family, token: RefreshToken, now: datetime) -> bool:
    """Whether the token may still be used at all."""
    return family.ended_at is None and now < token.expires_at


def is_reuse(token: RefreshToken, now: datetime) -> bool:
    """Whether a use at `now`, already noted in `token`, is one too many."""
    return token.spent or (token.first_used_at is not None and now - token.first_used_at > GRACE)

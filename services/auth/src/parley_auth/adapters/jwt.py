"""Access tokens as signed JWTs (RFC 9068), in the form that `parley_kit.tokens` verifies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from joserfc import jwt

from parley_auth.adapters.keys import KeyRing
from parley_kit.ids import new_id
from parley_kit.tokens import ALGORITHM, AUDIENCE, ISSUER, TOKEN_TYPE

LIFETIME_SECONDS = 600


class JwtAccessTokens:
    """Signs with the ring's signing key; the kid is the key's thumbprint (RFC 7638)."""

    def __init__(self, ring: KeyRing) -> None:
        self._key = ring.signing
        self._header = {"alg": ALGORITHM, "typ": TOKEN_TYPE, "kid": ring.signing.kid}
        keys = {key.kid: key.as_dict(private=False) for key in (ring.signing, *ring.previous)}
        self._jwks = {"keys": list(keys.values())}

    @property
    def lifetime_seconds(self) -> int:
        return LIFETIME_SECONDS

    def mint(self, user_id: str, session_id: str, now: datetime) -> str:
        issued_at = int(now.timestamp())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user_id,
            "sid": session_id,
            "jti": new_id(),
            "iat": issued_at,
            "exp": issued_at + LIFETIME_SECONDS,
        }
        return jwt.encode(self._header, claims, self._key, algorithms=[ALGORITHM])

    def jwks(self) -> Mapping[str, Any]:
        return self._jwks

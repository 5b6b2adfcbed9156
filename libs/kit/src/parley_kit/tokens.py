"""Access tokens as every service verifies them: ES256 JWTs of `typ: at+jwt` (RFC 9068), against auth's JWKS."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc.aio
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import extract_compact

from parley_kit.clock import Clock
from parley_kit.context import Principal
from parley_kit.errors import Unauthenticated
from parley_proto.auth.v1 import auth_pb2, auth_pb2_grpc

ALGORITHM = "ES256"
TOKEN_TYPE = "at+jwt"  # noqa: S105 - a media type
ISSUER = "parley-auth"
AUDIENCE = "parley"
CLOCK_SKEW_SECONDS = 5
REFETCH_SECONDS = 5.0

FetchJwks = Callable[[], Awaitable[Mapping[str, Any]]]
IsRevoked = Callable[[str], Awaitable[bool]]


def jwks_from(channel: grpc.aio.Channel) -> FetchJwks:
    """Fetches the key set from the auth service at the other end of `channel`."""
    stub = auth_pb2_grpc.AuthServiceStub(channel)

    async def fetch() -> Mapping[str, Any]:
        reply = await stub.GetJwks(auth_pb2.GetJwksRequest())
        keys: Mapping[str, Any] = json.loads(reply.jwks_json)
        return keys

    return fetch


class TokenVerifier:
    """Verifies locally. Keys are fetched at the first use, and again for an unknown kid, at most every 5 s.

    `fetch_jwks` raises Unavailable while auth is away; a token that a known key signed is verified all the same.
    `is_revoked` is asked for the token's session id.
    """

    def __init__(self, fetch_jwks: FetchJwks, is_revoked: IsRevoked, clock: Clock) -> None:
        self._fetch_jwks = fetch_jwks
        self._is_revoked = is_revoked
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched_at = float("-inf")

    async def verify(self, token: str) -> Principal:
        """Who the token speaks for. Raises Unauthenticated, or Unavailable when no key can be had."""
        kid = _key_id(token)
        await self._ensure_key(kid)
        claims = self._decode(token)
        principal = Principal(str(claims["sub"]), str(claims["sid"]), float(claims["exp"]))
        if await self._is_revoked(principal.session_id):
            raise Unauthenticated("the session has ended: sign in again")
        return principal

    async def _ensure_key(self, kid: str) -> None:
        if self._keys is not None and any(key.kid == kid for key in self._keys.keys):
            return
        if self._keys is None or self._clock.monotonic() - self._fetched_at >= REFETCH_SECONDS:
            jwks = await self._fetch_jwks()
            self._keys = KeySet.import_key_set(jwks)  # type: ignore[arg-type] # a JWK Set by contract
            self._fetched_at = self._clock.monotonic()

    def _decode(self, token: str) -> dict[str, Any]:
        assert self._keys is not None  # noqa: S101 - _ensure_key came first
        try:
            decoded = jwt.decode(token, self._keys, algorithms=[ALGORITHM])
        except (JoseError, ValueError):
            raise _INVALID from None
        claims = decoded.claims
        if decoded.header.get("typ") != TOKEN_TYPE or claims.get("iss") != ISSUER or claims.get("aud") != AUDIENCE:
            raise _INVALID
        if not all(isinstance(claims.get(name), str) for name in ("sub", "sid", "jti")):
            raise _INVALID
        self._check_times(claims)
        return claims

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self._clock.now().timestamp()
        expires, not_before = claims.get("exp"), claims.get("nbf", 0)
        if not isinstance(expires, int | float) or not isinstance(not_before, int | float):
            raise _INVALID
        if now >= expires + CLOCK_SKEW_SECONDS or now < not_before - CLOCK_SKEW_SECONDS:
            raise Unauthenticated("the access token has expired: refresh the session")


_INVALID = Unauthenticated("the access token is not valid")


def _key_id(token: str) -> str:
    """The header's kid. The header's own key hints (jwk, jku, x5u) are refused, never followed, and so is any crit."""
    try:
        header = extract_compact(token.encode()).headers()
    except (JoseError, ValueError):
        raise _INVALID from None
    kid = header.get("kid")
    if not isinstance(kid, str) or {"crit", "jwk", "jku", "x5u", "x5c"} & header.keys():
        raise _INVALID
    return kid

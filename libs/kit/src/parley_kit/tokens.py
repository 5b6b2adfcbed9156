"""Access tokens as every service verifies them: ES256 JWTs of `typ: at+jwt` (RFC 9068), against auth's JWKS."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import grpc.aio
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import extract_compact

from parley_kit.clock import Clock
from parley_kit.context import Principal
from parley_kit.errors import Unauthenticated
from parley_kit.jwks import FetchJwks as FetchJwks
from parley_kit.jwks import JwksCache
from parley_kit.lru import LruCache
from parley_proto.auth.v1 import auth_pb2, auth_pb2_grpc

ALGORITHM = "ES256"
TOKEN_TYPE = "at+jwt"  # noqa: S105 - a media type
ISSUER = "parley-auth"
AUDIENCE = "parley"
CLOCK_SKEW_SECONDS = 5
LATEST_TIME = 253_402_300_799  # the end of the year 9999
KEPT_TOKENS = 4096

IsRevoked = Callable[[str], Awaitable[bool]]


def jwks_from(channel: grpc.aio.Channel) -> FetchJwks:
    """Fetches the key set from the auth service at the other end of `channel`."""
    stub = auth_pb2_grpc.AuthServiceStub(channel)

    async def fetch() -> Mapping[str, Any]:
        reply = await stub.GetJwks(auth_pb2.GetJwksRequest())
        keys: Mapping[str, Any] = json.loads(reply.jwks_json)
        return keys

    return fetch


@dataclass(frozen=True, slots=True)
class _Verified:
    """What a token says, by its signature under `keys`."""

    kid: str
    keys: KeySet
    claims: Mapping[str, Any]


class TokenVerifier:
    """Verifies locally, with the keys as `JwksCache` keeps them: while auth is away, known keys go on to count.

    `is_revoked` is asked for the token's session id. What cannot change, the signature under the same keys, is verified
    once and kept; the times and the revocation are looked at every time. Only what auth signed is kept: it is small.
    """

    def __init__(self, fetch_jwks: FetchJwks, is_revoked: IsRevoked, clock: Clock) -> None:
        self._jwks = JwksCache(fetch_jwks, clock)
        self._is_revoked = is_revoked
        self._clock = clock
        self._verified = LruCache[str, _Verified](KEPT_TOKENS)

    async def verify(self, token: str) -> Principal:
        """Who the token speaks for. Raises Unauthenticated, or Unavailable when no key can be had."""
        known = self._verified.get(token)
        kid = known.kid if known else _key_id(token)
        keys = await self._jwks.key_set(kid)
        if known is None or known.keys is not keys:
            known = _Verified(kid, keys, _decode(token, keys))
            self._verified.put(token, known)
        self._check_times(known.claims)
        principal = Principal(str(known.claims["sub"]), str(known.claims["sid"]), float(known.claims["exp"]))
        if await self._is_revoked(principal.session_id):
            raise Unauthenticated("the session has ended: sign in again")
        return principal

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self._clock.now().timestamp()
        expires, not_before = claims.get("exp"), claims.get("nbf", 0)
        if not _is_time(expires) or not _is_time(not_before):
            raise _invalid()
        if now >= expires + CLOCK_SKEW_SECONDS or now < not_before - CLOCK_SKEW_SECONDS:
            raise Unauthenticated("the access token has expired: refresh the session")


def _decode(token: str, keys: KeySet) -> Mapping[str, Any]:
    """The claims, whose times are still to be looked at. Raises Unauthenticated."""
    try:
        decoded = jwt.decode(token, keys, algorithms=[ALGORITHM])
    except (JoseError, ValueError):
        raise _invalid() from None
    claims = decoded.claims
    if decoded.header.get("typ") != TOKEN_TYPE or claims.get("iss") != ISSUER or claims.get("aud") != AUDIENCE:
        raise _invalid()
    if not all(isinstance(claims.get(name), str) for name in ("sub", "sid", "jti")):
        raise _invalid()
    return claims


def _is_time(value: object) -> TypeGuard[float]:
    """Seconds since 1970 (RFC 7519's NumericDate); Python's JSON knows NaN and Infinity, which never expire."""
    return isinstance(value, int | float) and 0 <= value <= LATEST_TIME


def _invalid() -> Unauthenticated:
    return Unauthenticated("the access token is not valid")


def _key_id(token: str) -> str:
    """The header's kid. The header's own key hints (jwk, jku, x5u) are refused, never followed, and so is any crit."""
    try:
        header = extract_compact(token.encode()).headers()
    except (JoseError, ValueError):
        raise _invalid() from None
    kid = header.get("kid")
    if not isinstance(kid, str) or {"crit", "jwk", "jku", "x5u", "x5c"} & header.keys():
        raise _invalid()
    return kid

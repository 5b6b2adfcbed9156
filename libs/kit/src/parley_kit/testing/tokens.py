"""A good access token, and the ways to forge one: every service that takes tokens must refuse them all.

After RFC 8725 (JWT best practices), CVE-2026-27962 (the key taken from the header) and CVE-2025-59420 (unknown crit).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey

from parley_kit.ids import new_id
from parley_kit.tokens import ALGORITHM, AUDIENCE, CLOCK_SKEW_SECONDS, ISSUER, TOKEN_TYPE

LIFETIME_SECONDS = 600


def signing_key() -> ECKey:
    """A new key, named as auth names its own."""
    key = ECKey.generate_key("P-256", {"use": "sig", "alg": ALGORITHM})
    key.ensure_kid()
    return key


def jwks_of(*keys: ECKey) -> Mapping[str, Any]:
    """What auth publishes of the keys."""
    return {"keys": [key.as_dict(private=False) for key in keys]}


class TokenForge:
    """Makes tokens as auth does with `key` at `now`, for `user_id` in `session_id`, and tokens that are nearly so."""

    def __init__(self, key: ECKey, now: datetime, user_id: str | None = None, session_id: str | None = None) -> None:
        self._key = key
        self._now = int(now.timestamp())
        self._header = {"alg": ALGORITHM, "typ": TOKEN_TYPE, "kid": key.kid}
        self._claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user_id or new_id(),
            "sid": session_id or new_id(),
            "jti": new_id(),
            "iat": self._now,
            "exp": self._now + LIFETIME_SECONDS,
        }

    def good(self, **claims: Any) -> str:
        """A token that auth could have signed, with some claims changed; None leaves a claim out."""
        return self._sign(self._key, self._header, claims)

    def forgeries(self) -> dict[str, str]:
        """By name, tokens that nobody may accept."""
        return {**self._broken(), **self._by_signature(), **self._by_header(), **self._by_claims()}

    def _broken(self) -> dict[str, str]:
        header, payload, signature = self.good().split(".")
        return {
            "garbage": "garbage",
            "only dots": "..",
            "no signature": f"{header}.{payload}.",
            "no payload": f"{header}..{signature}",
            "four parts": f"{header}.{payload}.{signature}.{signature}",
            "cut": f"{header}.{payload}.{signature[:-4]}",
            "header is no object": f"{_encode([])}.{payload}.{signature}",
            "header is no JSON": f"{_base64(b'{')}.{payload}.{signature}",
            "huge": f"{header}.{_base64(b' ' * 100_000)}.{signature}",
        }

    def _by_signature(self) -> dict[str, str]:
        header, payload, signature = self.good().split(".")
        other = _encode({**self._claims, "sub": new_id()})
        none = {**self._header, "alg": "none"}
        stranger = signing_key()
        named = ECKey.import_key({**stranger.as_dict(private=True), "kid": str(self._key.kid)})
        return {
            "another payload": f"{header}.{other}.{signature}",
            "alg none": f"{_encode(none)}.{payload}.",
            "alg None with the signature": f"{_encode({**none, 'alg': 'None'})}.{payload}.{signature}",
            "alg HS256 with the public PEM": self._hmac(self._key.as_pem(private=False), payload),
            "alg HS256 with the public JWK": self._hmac(json.dumps(self._key.as_dict(private=False)).encode(), payload),
            "signed by a stranger under our kid": self._sign(named, self._header, {}),
            "signed by a stranger under its own kid": self._sign(stranger, {**self._header, "kid": stranger.kid}, {}),
            "all zero signature": f"{header}.{payload}.{_base64(bytes(64))}",
        }

    def _by_header(self) -> dict[str, str]:
        stranger = signing_key()
        jwk = stranger.as_dict(private=False)
        own = {**self._header, "kid": stranger.kid}
        changes: dict[str, tuple[ECKey, dict[str, Any]]] = {
            "jwk of a stranger": (stranger, {**own, "jwk": jwk}),
            "jwk of a stranger under our kid": (stranger, {**self._header, "jwk": jwk}),
            "jwk of ours": (self._key, {**self._header, "jwk": self._key.as_dict(private=False)}),
            "jku": (stranger, {**own, "jku": "http://127.0.0.1/jwks.json"}),
            "x5u": (stranger, {**own, "x5u": "http://127.0.0.1/chain.pem"}),
            "crit unknown": (self._key, {**self._header, "crit": ["cnf"], "cnf": {}}),
            "crit empty": (self._key, {**self._header, "crit": []}),
            "crit b64": (self._key, {**self._header, "crit": ["b64"], "b64": True}),
            "no kid": (self._key, _without(self._header, "kid")),
            "kid is a path": (self._key, {**self._header, "kid": "../../dev/null"}),
            "kid is no string": (self._key, {**self._header, "kid": 1}),
            "typ JWT": (self._key, {**self._header, "typ": "JWT"}),
            "no typ": (self._key, _without(self._header, "typ")),
        }
        return {name: self._sign(key, header, {}) for name, (key, header) in changes.items()}

    def _by_claims(self) -> dict[str, str]:
        changes: dict[str, dict[str, Any]] = {
            "wrong iss": {"iss": "https://example.org"},
            "no iss": {"iss": None},
            "wrong aud": {"aud": "parley-admin"},
            "no aud": {"aud": None},
            "no sub": {"sub": None},
            "no sid": {"sid": None},
            "no jti": {"jti": None},
            "sub is no string": {"sub": {"$ne": ""}},
            "expired": {"exp": self._now - CLOCK_SKEW_SECONDS},
            "no exp": {"exp": None},
            "exp is no number": {"exp": "9999999999"},
            "exp is NaN": {"exp": float("nan")},
            "exp is infinite": {"exp": float("inf")},
            "not yet": {"nbf": self._now + CLOCK_SKEW_SECONDS + 1},
        }
        return {name: self.good(**claims) for name, claims in changes.items()}

    def _sign(self, key: ECKey, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        """By hand where a library would refuse the header."""
        kept = {name: value for name, value in {**self._claims, **claims}.items() if value is not None}
        signed = f"{_encode(header)}.{_encode(kept)}"
        signature = jws.JWSRegistry.algorithms["ES256"].sign(signed.encode(), key)
        return f"{signed}.{_base64(signature)}"

    def _hmac(self, secret: bytes, payload: str) -> str:
        signed = f"{_encode({**self._header, 'alg': 'HS256'})}.{payload}"
        return f"{signed}.{_base64(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def _without(header: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in header.items() if key != name}


def _encode(value: Any) -> str:
    return _base64(json.dumps(value).encode())


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

"""The public keys of auth, as a verifier keeps them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from typing import Any

from joserfc.jwk import KeySet

from parley_kit.clock import Clock
from parley_kit.errors import DeadlineExceeded, Unavailable
from parley_kit.logs import get_logger

log = get_logger(__name__)

REFETCH_SECONDS = 5.0
MAX_AGE_SECONDS = 300.0
FETCH_TIMEOUT_SECONDS = 3.0

FetchJwks = Callable[[], Awaitable[Mapping[str, Any]]]


class JwksCache:
    """Fetches at the first use, for an unknown kid at most every 5 s, and when the keys are 5 minutes old: a key that
    auth no longer publishes is trusted no longer than that. One fetch at a time, whoever waits for it."""

    def __init__(self, fetch: FetchJwks, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._flight: asyncio.Task[KeySet] | None = None

    async def key_set(self, kid: str) -> KeySet:
        """The keys, which may lack `kid` all the same. Raises Unavailable when it is not known and auth is away."""
        if self._keys is None:
            return await self._refresh()
        now = self._clock.monotonic()
        if not any(key.kid == kid for key in self._keys.keys):
            return await self._refresh() if now - self._fetched_at >= REFETCH_SECONDS else self._keys
        if now - self._fetched_at >= MAX_AGE_SECONDS and now - self._tried_at >= REFETCH_SECONDS:
            return await self._renew(self._keys)
        return self._keys

    async def _renew(self, known: KeySet) -> KeySet:
        """While auth is away, what its known keys signed is verified all the same."""
        try:
            return await self._refresh()
        except Unavailable as error:
            log.warning("jwks_not_renewed", reason=error.message)
            return known

    async def _refresh(self) -> KeySet:
        """Join the fetch in flight, or start it. It outlives whoever started it, and carries nothing of its request."""
        if self._flight is None or self._flight.done():
            self._tried_at = self._clock.monotonic()
            self._flight = asyncio.create_task(self._fetch_once(), name="jwks", context=Context())
            self._flight.add_done_callback(_retrieve)
        return await asyncio.shield(self._flight)

    async def _fetch_once(self) -> KeySet:
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_SECONDS):
                jwks = await self._fetch()
        except (TimeoutError, DeadlineExceeded):
            raise Unavailable("the auth service does not answer") from None
        self._keys = KeySet.import_key_set(jwks)  # type: ignore[arg-type] # a JWK Set by contract
        self._fetched_at = self._clock.monotonic()
        return self._keys


def _retrieve(flight: asyncio.Task[KeySet]) -> None:
    """Those who wait get the error; when nobody does any more, it has been seen all the same."""
    if not flight.cancelled():
        flight.exception()

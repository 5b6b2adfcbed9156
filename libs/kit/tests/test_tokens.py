"""Access tokens: what is accepted, everything that must not be, and when keys are fetched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest
from joserfc.jwk import ECKey

from parley_kit import context
from parley_kit.clock import ManualClock
from parley_kit.context import Principal, RequestContext
from parley_kit.errors import DeadlineExceeded, Unauthenticated, Unavailable
from parley_kit.testing.tokens import TokenForge, jwks_of, signing_key
from parley_kit.tokens import TokenVerifier

KEY = signing_key()
CLOCK = ManualClock()
FORGERIES = TokenForge(KEY, CLOCK.now()).forgeries()


class Auth:
    """The auth service as a verifier sees it: its keys, or why there are none, and what it was asked."""

    def __init__(self, *keys: ECKey) -> None:
        self.keys = keys
        self.error: Exception | None = None
        self.fetches = 0
        self.contexts: list[RequestContext] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def fetch(self) -> Mapping[str, Any]:
        self.fetches += 1
        self.contexts.append(context.current())
        await self.gate.wait()
        if self.error:
            raise self.error
        return jwks_of(*self.keys)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def auth() -> Auth:
    return Auth(KEY)


@pytest.fixture
def revoked() -> set[str]:
    return set()


@pytest.fixture
def verifier(auth: Auth, revoked: set[str], clock: ManualClock) -> TokenVerifier:
    async def is_revoked(session_id: str) -> bool:
        return session_id in revoked

    return TokenVerifier(auth.fetch, is_revoked, clock)


def token(clock: ManualClock, key: ECKey = KEY, **claims: Any) -> str:
    return TokenForge(key, clock.now(), "user", "session").good(**claims)


async def assert_refused(verifier: TokenVerifier, text: str) -> None:
    with pytest.raises(Unauthenticated):
        await verifier.verify(text)


async def test_a_good_token_names_its_principal(verifier: TokenVerifier, clock: ManualClock) -> None:
    principal = await verifier.verify(token(clock))
    assert principal == Principal("user", "session", clock.now().timestamp() + 600)


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forgery_is_refused(verifier: TokenVerifier, name: str) -> None:
    await assert_refused(verifier, FORGERIES[name])


@pytest.mark.parametrize("text", ["", "\ud800", "é.é.é", "\0.\0.\0", "." * 10_000, "[" * 400, "a" * 1_000_000])
async def test_no_text_at_all_breaks_it(verifier: TokenVerifier, text: str) -> None:
    await assert_refused(verifier, text)


async def test_a_token_expires(verifier: TokenVerifier, clock: ManualClock) -> None:
    """To the second, with five for clocks that differ."""
    text = token(clock)
    clock.advance(604.9)
    assert await verifier.verify(text)
    clock.advance(0.1)
    await assert_refused(verifier, text)


async def test_a_revoked_session_is_refused(verifier: TokenVerifier, clock: ManualClock, revoked: set[str]) -> None:
    revoked.add("session")
    await assert_refused(verifier, token(clock))


async def test_a_session_that_is_revoked_later_is_refused(
    verifier: TokenVerifier, clock: ManualClock, revoked: set[str]
) -> None:
    """Also when the same token was good before."""
    text = token(clock)
    await verifier.verify(text)
    revoked.add("session")
    await assert_refused(verifier, text)


async def test_a_signature_is_verified_once(
    verifier: TokenVerifier, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, other = token(clock), token(clock)
    first = await verifier.verify(text)
    monkeypatch.setattr("parley_kit.tokens.jwt.decode", _refuse)
    assert await verifier.verify(text) == first
    await assert_refused(verifier, other)


def _refuse(*_arguments: object, **_options: object) -> None:
    raise ValueError


async def test_a_revocation_list_that_is_away_is_no_yes(auth: Auth, clock: ManualClock) -> None:
    async def is_revoked(session_id: str) -> bool:
        raise Unavailable("away")

    with pytest.raises(Unavailable):
        await TokenVerifier(auth.fetch, is_revoked, clock).verify(token(clock))


class TestKeys:
    async def test_are_fetched_once(self, verifier: TokenVerifier, clock: ManualClock, auth: Auth) -> None:
        for _ in range(3):
            await verifier.verify(token(clock))
        assert auth.fetches == 1

    async def test_are_fetched_once_for_many_at_once(
        self, verifier: TokenVerifier, clock: ManualClock, auth: Auth
    ) -> None:
        await asyncio.gather(*(verifier.verify(token(clock)) for _ in range(20)))
        assert auth.fetches == 1

    async def test_unknown_kids_fetch_at_most_every_five_seconds(
        self, verifier: TokenVerifier, clock: ManualClock, auth: Auth
    ) -> None:
        await verifier.verify(token(clock))
        for _ in range(10):
            clock.advance(1)
            await assert_refused(verifier, token(clock, signing_key()))
        assert auth.fetches == 3

    async def test_a_new_key_is_found_and_the_old_one_stays_good(
        self, verifier: TokenVerifier, clock: ManualClock, auth: Auth
    ) -> None:
        old, new = token(clock), signing_key()
        await verifier.verify(old)
        clock.advance(5)
        auth.keys = (new, KEY)
        assert await verifier.verify(token(clock, new))
        assert await verifier.verify(old)
        assert auth.fetches == 2

    async def test_a_withdrawn_key_is_trusted_for_five_minutes_at_most(
        self, verifier: TokenVerifier, clock: ManualClock, auth: Auth
    ) -> None:
        known = token(clock)
        await verifier.verify(known)
        auth.keys = (signing_key(),)
        clock.advance(299)
        await verifier.verify(token(clock))
        clock.advance(1)
        for text in (known, token(clock)):
            await assert_refused(verifier, text)

    async def test_known_ones_count_while_auth_is_away(
        self, verifier: TokenVerifier, clock: ManualClock, auth: Auth
    ) -> None:
        """An unknown kid cannot be judged then; a known one can, and asks again every five seconds."""
        await verifier.verify(token(clock))
        auth.error = Unavailable("away")
        clock.advance(300)
        for _ in range(10):
            clock.advance(1)
            assert await verifier.verify(token(clock))
        assert auth.fetches == 3
        with pytest.raises(Unavailable):
            await verifier.verify(token(clock, signing_key()))

    async def test_without_any_the_answer_is_unavailable_until_auth_is_back(
        self, verifier: TokenVerifier, clock: ManualClock, auth: Auth
    ) -> None:
        """A deadline that ran out on the way says no more than that auth is away."""
        for error in (Unavailable("away"), DeadlineExceeded("slow")):
            auth.error = error
            with pytest.raises(Unavailable):
                await verifier.verify(token(clock))
        auth.error = None
        assert await verifier.verify(token(clock))

    async def test_the_fetch_belongs_to_no_request(
        self, verifier: TokenVerifier, clock: ManualClock, auth: Auth
    ) -> None:
        """It takes along neither a user's token nor the deadline, and goes on when who began it goes away."""
        auth.gate.clear()
        with context.enter(RequestContext(deadline=time.monotonic() + 0.5, access_token="a user's")):
            first = asyncio.create_task(verifier.verify(token(clock)))
            await asyncio.sleep(0)
        second = asyncio.create_task(verifier.verify(token(clock)))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        auth.gate.set()
        assert await second
        assert auth.contexts == [RequestContext()]

"""The life of a session, case by case; test_family_machine.py walks through all that can happen."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from parley_auth.bootstrap import DATABASE_FILE, Core, open_core
from parley_auth.domain.session import Session
from parley_auth.handlers import upkeep
from parley_auth.settings import AuthSettings
from parley_kit.clock import ManualClock
from parley_kit.errors import Unauthenticated, Unavailable
from parley_kit.health import Readiness
from parley_kit.tokens import TokenVerifier
from parley_live.memory import MemoryLive

DAY = 86_400.0


@pytest.fixture
async def session(core: Core) -> Session:
    return await core.accounts.sign_up("ada@example.org", "correct horse", "Ada", "192.0.2.7")


async def refresh(core: Core, session: Session) -> Session:
    return await core.sessions.refresh(session.refresh_token)


async def assert_ended(core: Core, *sessions: Session) -> None:
    for session in sessions:
        with pytest.raises(Unauthenticated):
            await refresh(core, session)


async def test_a_refresh_rotates_both_tokens(core: Core, session: Session) -> None:
    later = await refresh(core, session)
    assert later.user == session.user
    assert later.access_token != session.access_token
    assert later.refresh_token != session.refresh_token


async def test_a_retry_in_time_gets_a_sibling(core: Core, session: Session, clock: ManualClock) -> None:
    """The window is that of the first use; a retry does not prolong it."""
    first = await refresh(core, session)
    clock.advance(6)
    sibling = await refresh(core, session)
    clock.advance(4)
    other = await refresh(core, session)
    assert len({first.refresh_token, sibling.refresh_token, other.refresh_token}) == 3
    clock.advance(0.001)
    await assert_ended(core, session, first, sibling, other)


async def test_siblings_all_go_on(core: Core, session: Session, clock: ManualClock) -> None:
    """Two tabs that refreshed together: the later use of one does not end the other."""
    tabs = [await refresh(core, session), await refresh(core, session)]
    for _ in range(3):
        clock.advance(600)
        tabs = [await refresh(core, tab) for tab in tabs]


async def test_a_sibling_in_use_spends_the_parent_at_once(core: Core, session: Session) -> None:
    """Some answer did arrive, so whoever comes with the parent is not who lost one."""
    first = await refresh(core, session)
    used = await refresh(core, session)
    later = await refresh(core, used)
    await assert_ended(core, session, first, later)


async def test_a_late_retry_ends_the_session_although_no_successor_was_used(
    core: Core, session: Session, clock: ManualClock
) -> None:
    later = await refresh(core, session)
    clock.advance(10.001)
    await assert_ended(core, session, later)


async def test_an_old_ancestor_ends_the_session(core: Core, session: Session) -> None:
    chain = [session]
    for _ in range(20):
        chain.append(await refresh(core, chain[-1]))
    await assert_ended(core, chain[0], chain[-1])


async def test_reuse_ends_that_session_alone(core: Core, session: Session, live: MemoryLive) -> None:
    other = await core.accounts.sign_in("ada@example.org", "correct horse", "192.0.2.7")
    await refresh(core, await refresh(core, session))
    await assert_ended(core, session)
    assert await refresh(core, other)


async def test_fifty_refreshes_at_once_are_one_race_without_losers(core: Core, session: Session) -> None:
    racers = await asyncio.gather(*(refresh(core, session) for _ in range(50)))
    assert len({racer.refresh_token for racer in racers}) == 50
    assert await refresh(core, racers[17])
    await assert_ended(core, session, *racers)


async def test_fifty_reuses_at_once_all_fail(core: Core, session: Session) -> None:
    last = await refresh(core, await refresh(core, session))
    outcomes = await asyncio.gather(*(refresh(core, session) for _ in range(50)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Unauthenticated}
    await assert_ended(core, last)


async def test_a_token_lives_for_thirty_days_from_its_issue(core: Core, session: Session, clock: ManualClock) -> None:
    clock.advance(30 * DAY - 1)
    session = await refresh(core, session)
    clock.advance(30 * DAY)
    await assert_ended(core, session)


async def test_a_session_lives_for_ninety_days_in_all(core: Core, session: Session, clock: ManualClock) -> None:
    for _ in range(4):
        clock.advance(20 * DAY)
        session = await refresh(core, session)
    clock.advance(10 * DAY - 1)
    last = await refresh(core, session)
    clock.advance(1)
    await assert_ended(core, last)


@pytest.mark.parametrize("secret", ["", "unknown", "\ud800", "x" * 100_000])
async def test_an_unknown_token_is_refused_and_its_sign_out_is_not(core: Core, secret: str) -> None:
    with pytest.raises(Unauthenticated):
        await core.sessions.refresh(secret)
    await core.sessions.sign_out(secret)


async def test_sign_out_ends_every_branch(core: Core, session: Session) -> None:
    one, other = await refresh(core, session), await refresh(core, session)
    await core.sessions.sign_out(one.refresh_token)
    await assert_ended(core, one, other, session)
    await core.sessions.sign_out(one.refresh_token)


async def test_a_spent_token_signs_out_too(core: Core, session: Session) -> None:
    last = await refresh(core, await refresh(core, session))
    await core.sessions.sign_out(session.refresh_token)
    await assert_ended(core, last)


async def test_the_store_has_no_secret(core: Core, session: Session, tmp_path: Path) -> None:
    """Neither tokens nor passwords are to be found in the file; the digest is."""
    with sqlite3.connect(tmp_path / DATABASE_FILE) as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    assert session.refresh_token not in dump
    assert "correct horse" not in dump
    assert hashlib.sha256(session.refresh_token.encode()).hexdigest() in dump.lower()
    assert session.refresh_token not in repr(session)
    assert session.access_token not in repr(session)


class TestAccessTokens:
    @pytest.fixture
    def verifier(self, core: Core, live: MemoryLive, clock: ManualClock) -> TokenVerifier:
        async def keys() -> dict[str, object]:
            return dict(core.tokens.jwks())

        return TokenVerifier(keys, live.is_revoked, clock)

    async def test_name_user_session_and_expiry(
        self, verifier: TokenVerifier, session: Session, clock: ManualClock
    ) -> None:
        principal = await verifier.verify(session.access_token)
        assert principal.user_id == session.user.id
        assert principal.expires_at == clock.now().timestamp() + 600

    async def test_outlive_a_refresh_but_not_the_session(
        self, core: Core, verifier: TokenVerifier, session: Session
    ) -> None:
        later = await refresh(core, session)
        first, second = await verifier.verify(session.access_token), await verifier.verify(later.access_token)
        assert replace(first, expires_at=0.0) == replace(second, expires_at=0.0)
        await core.sessions.sign_out(later.refresh_token)
        for token in (session.access_token, later.access_token):
            with pytest.raises(Unauthenticated):
                await verifier.verify(token)

    async def test_end_with_a_session_whose_token_was_reused(
        self, core: Core, verifier: TokenVerifier, session: Session
    ) -> None:
        last = await refresh(core, await refresh(core, session))
        await assert_ended(core, session)
        with pytest.raises(Unauthenticated):
            await verifier.verify(last.access_token)

    async def test_stay_revoked_after_a_restart(
        self, core: Core, session: Session, settings: AuthSettings, clock: ManualClock, hasher: PasswordHasher
    ) -> None:
        """The hot state is lost; the revocation is written again, for the life of the access tokens and no longer."""
        family, _ = await core.sessions._find(session.refresh_token)
        await core.sessions.sign_out(session.refresh_token)
        clock.advance(599)
        live = MemoryLive(clock)
        async with open_core(settings, live, clock, Readiness(), hasher) as later:
            await later.upkeep.turn()
            assert await live.is_revoked(family.id)
            clock.advance(61)
            assert not await live.is_revoked(family.id)
            await later.upkeep.turn()
            assert not await live.is_revoked(family.id)

    async def test_stay_revoked_when_the_refresh_tokens_have_expired_meanwhile(
        self, core: Core, session: Session, clock: ManualClock, settings: AuthSettings, hasher: PasswordHasher
    ) -> None:
        """A session that is ended just before its refresh token would have run out, and then a restart."""
        family, _ = await core.sessions._find(session.refresh_token)
        clock.advance(30 * DAY - 1)
        await core.sessions.sign_out(session.refresh_token)
        clock.advance(300)
        await core.upkeep.turn()
        live = MemoryLive(clock)
        async with open_core(settings, live, clock, Readiness(), hasher) as later:
            await later.upkeep.turn()
            assert await live.is_revoked(family.id)

    async def test_a_sign_out_that_could_not_be_announced_is_made_good(
        self, core: Core, verifier: TokenVerifier, session: Session, live: MemoryLive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def away(token_id: str, seconds: float) -> None:
            raise Unavailable("away")

        with monkeypatch.context() as patch:
            patch.setattr(live, "revoke", away)
            with pytest.raises(Unavailable):
                await core.sessions.sign_out(session.refresh_token)
            await core.upkeep.turn()
        await assert_ended(core, session)
        await core.upkeep.turn()
        with pytest.raises(Unauthenticated):
            await verifier.verify(session.access_token)


async def test_a_hot_state_that_was_lost_is_made_good_within_seconds(
    core: Core, session: Session, clock: ManualClock, live: MemoryLive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when Redis is restarted: long before the next regular turn, and also when it was away in between."""
    family, _ = await core.sessions._find(session.refresh_token)
    await core.upkeep.turn()
    await core.sessions.sign_out(session.refresh_token)
    asked = asyncio.Event()

    async def away(_token_id: str) -> bool:
        asked.set()
        raise Unavailable("away")

    task = asyncio.create_task(core.upkeep.run())
    with monkeypatch.context() as patch:
        patch.setattr(live, "is_revoked", away)
        await asyncio.sleep(0)
        clock.advance(upkeep.WATCH_SECONDS)
        await asyncio.wait_for(asked.wait(), 5)
    restarted = MemoryLive(clock)
    monkeypatch.setattr(live, "is_revoked", restarted.is_revoked)
    monkeypatch.setattr(live, "revoke", restarted.revoke)
    async with asyncio.timeout(5):
        while not await live.is_revoked(family.id):
            await asyncio.sleep(0.001)
            if clock._sleepers:  # no time passes while it is at work
                clock.advance(0.1)
    assert clock.monotonic() < upkeep.PERIOD_SECONDS / 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_upkeep_runs_every_minute(core: Core, session: Session, clock: ManualClock, live: MemoryLive) -> None:
    turned = asyncio.Event()
    turns = 0

    async def turn() -> None:
        nonlocal turns
        turns += 1
        turned.set()
        if turns == 1:
            raise RuntimeError("a bug in one turn")

    core.upkeep.turn = turn  # type: ignore[method-assign]
    task = asyncio.create_task(core.upkeep.run())
    for expected in (1, 2):
        await asyncio.sleep(0)
        turned.clear()
        clock.advance(60)
        await asyncio.wait_for(turned.wait(), 5)
        assert turns == expected
    task.cancel()
    await asyncio.wait([task])


async def test_expired_tokens_are_forgotten(core: Core, session: Session, clock: ManualClock, tmp_path: Path) -> None:
    await refresh(core, session)
    clock.advance(31 * DAY)
    await core.upkeep.turn()
    with sqlite3.connect(tmp_path / DATABASE_FILE) as connection:
        counts = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
            for table in ("refresh_tokens", "refresh_families", "users")
        ]
    connection.close()
    assert counts == [0, 0, 1]

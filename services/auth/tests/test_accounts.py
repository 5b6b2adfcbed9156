"""Signing up and in."""

from __future__ import annotations

import asyncio

import pytest
from argon2 import PasswordHasher, Type

from parley_auth.adapters.passwords import light_hasher, strong_hasher
from parley_auth.bootstrap import Core, open_core
from parley_auth.domain.session import Session
from parley_auth.settings import AuthSettings
from parley_kit.clock import ManualClock
from parley_kit.errors import BadInput, Conflict, ParleyError, RateLimited, Unauthenticated
from parley_kit.health import Readiness
from parley_kit.ids import new_id
from parley_live.memory import MemoryLive

EMAIL, PASSWORD, ADDRESS = "ada@example.org", "correct horse", "192.0.2.7"


class CountingHasher(PasswordHasher):
    """Counts the verifications: equal work is what hides whether a user exists, and time alone is no test of it."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified: list[str] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # noqa: A002 - argon2's name
        self.verified.append(str(hash).rpartition("$")[0].rpartition("$")[0])
        return super().verify(hash, password)


@pytest.fixture
def hasher() -> CountingHasher:
    return CountingHasher()


async def sign_up(core: Core, email: str = EMAIL) -> Session:
    return await core.accounts.sign_up(email, PASSWORD, "Ada", ADDRESS)


async def refusal(core: Core, email: str, password: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await core.accounts.sign_in(email, password, ADDRESS)
    return caught.value.message


async def test_who_signed_up_can_sign_in(core: Core, clock: ManualClock) -> None:
    first = await sign_up(core, " Ada@Example.org")
    assert (first.user.email, first.user.display_name, first.user.created_at) == (EMAIL, "Ada", clock.now())
    second = await core.accounts.sign_in("ADA@example.org ", PASSWORD, ADDRESS)
    assert second.user == first.user == await core.accounts.get_user(first.user.id)
    assert second.expires_in == 600
    assert len({first.refresh_token, second.refresh_token, first.access_token, second.access_token}) == 4


async def test_a_taken_email_is_a_conflict_in_any_case(core: Core) -> None:
    await sign_up(core)
    with pytest.raises(Conflict):
        await sign_up(core, "ADA@EXAMPLE.ORG")


async def test_of_concurrent_sign_ups_one_wins(core: Core) -> None:
    outcomes = await asyncio.gather(*(sign_up(core) for _ in range(5)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict"] * 4 + ["Session"]


@pytest.mark.parametrize(
    ("email", "password", "name", "field"),
    [("no", PASSWORD, "Ada", "email"), (EMAIL, "short", "Ada", "password"), (EMAIL, PASSWORD, " ", "displayName")],
)
async def test_bad_input_names_its_field(core: Core, email: str, password: str, name: str, field: str) -> None:
    with pytest.raises(BadInput) as caught:
        await core.accounts.sign_up(email, password, name, ADDRESS)
    assert caught.value.field == field


async def test_every_refused_sign_in_looks_and_works_the_same(core: Core, hasher: CountingHasher) -> None:
    """One verification with one and the same set of parameters, and the same words."""
    await sign_up(core)
    attempts = [
        (EMAIL, "wrong horse"),
        (EMAIL, ""),
        (EMAIL, "x" * 2000),
        (EMAIL, "lone \ud800"),
        ("nobody@example.org", PASSWORD),
        ("no e-mail", PASSWORD),
        ("", ""),
    ]
    messages = {await refusal(core, *attempt) for attempt in attempts}
    assert len(messages) == 1
    assert len(hasher.verified) == len(attempts)
    assert len(set(hasher.verified)) == 1


async def test_the_dummy_hash_lets_nobody_in(core: Core) -> None:
    """Even a password that matches it: for want of a user the answer is no."""
    passwords = core.accounts._passwords
    dummy = passwords._hasher.hash(b"known")  # type: ignore[attr-defined]
    passwords._dummy_hash = dummy  # type: ignore[attr-defined]
    assert not await passwords.verify(None, "known")
    assert await passwords.verify(dummy, "known")


async def test_one_password_typed_two_ways_is_one(core: Core) -> None:
    await core.accounts.sign_up(EMAIL, "pa\u0308ssword", "Ada", ADDRESS)
    assert await core.accounts.sign_in(EMAIL, "p\u00e4ssword", ADDRESS)


async def test_a_hash_of_old_parameters_is_made_anew_at_the_next_sign_in(
    settings: AuthSettings, live: MemoryLive, clock: ManualClock, core: Core
) -> None:
    await sign_up(core)
    stronger = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    async with open_core(settings, live, clock, Readiness(), stronger) as later:
        for _ in range(2):
            await later.accounts.sign_in(EMAIL, PASSWORD, ADDRESS)
        account = await later.accounts._users.find_account(EMAIL)
    assert account is not None
    assert "m=16,t=2" in account.password_hash
    assert await core.accounts.sign_in(EMAIL, PASSWORD, ADDRESS)


async def test_a_user_who_is_no_more_is_unauthenticated(core: Core) -> None:
    with pytest.raises(Unauthenticated):
        await core.accounts.get_user(new_id())


class TestThrottle:
    @pytest.fixture
    def settings(self, settings: AuthSettings) -> AuthSettings:
        limits = {
            "auth_sign_ups_per_address": 2,
            "auth_sign_ins_per_address": 5,
            "auth_sign_ins_per_account": 3,
            "auth_refreshes_per_session": 2,
        }
        return settings.model_copy(update=limits)

    async def attempt(self, core: Core, email: str = EMAIL, address: str = ADDRESS) -> type[ParleyError]:
        with pytest.raises(ParleyError) as caught:
            await core.accounts.sign_in(email, "wrong horse", address)
        return caught.type

    async def test_sign_ups_by_address(self, core: Core, clock: ManualClock) -> None:
        for number in range(2):
            await sign_up(core, f"{number}@example.org")
        with pytest.raises(RateLimited) as caught:
            await sign_up(core, "2@example.org")
        assert 0 < caught.value.retry_after <= 30
        assert await core.accounts.sign_up("3@example.org", PASSWORD, "Ada", "192.0.2.8")
        clock.advance(caught.value.retry_after)
        assert await sign_up(core, "2@example.org")

    async def test_sign_ins_by_account_from_many_addresses(self, core: Core) -> None:
        """Also for an account that does not exist: the limit must not tell."""
        for email in (EMAIL, "nobody@example.org"):
            kinds = [await self.attempt(core, email.upper(), f"192.0.2.{number}") for number in range(4)]
            assert kinds == [Unauthenticated] * 3 + [RateLimited]

    async def test_sign_ins_by_address_over_many_accounts(self, core: Core) -> None:
        kinds = [await self.attempt(core, f"{number}@example.org") for number in range(6)]
        assert kinds == [Unauthenticated] * 5 + [RateLimited]

    @pytest.mark.parametrize(
        ("one", "other"),
        [("2001:db8::1", "2001:db8::ffff"), ("192.0.2.1", "::ffff:192.0.2.1"), ("", "not an address")],
    )
    async def test_addresses_of_one_machine_count_as_one(self, core: Core, one: str, other: str) -> None:
        kinds = [await self.attempt(core, f"{number}@example.org", (one, other)[number % 2]) for number in range(6)]
        assert kinds == [Unauthenticated] * 5 + [RateLimited]

    async def test_a_refused_attempt_costs_no_hash(self, core: Core, hasher: CountingHasher) -> None:
        for _ in range(10):
            await self.attempt(core)
        assert len(hasher.verified) == 3

    async def test_refreshes_by_session(self, core: Core) -> None:
        """A refused refresh spends nothing."""
        session = await sign_up(core)
        for _ in range(2):
            session = await core.sessions.refresh(session.refresh_token)
        with pytest.raises(RateLimited):
            await core.sessions.refresh(session.refresh_token)


async def test_development_leaves_room_for_tests_from_one_address() -> None:
    attempts = AuthSettings(env="development").attempts
    assert attempts.sign_ups_of_address >= 100
    assert min(attempts.sign_ins_of_address, attempts.sign_ins_of_account) >= 500
    assert AuthSettings(env="production").attempts.sign_ins_of_account == 10


def test_no_hash_is_weaker_than_owasp_and_rfc_9106_ask() -> None:
    light, strong = light_hasher(), strong_hasher()
    assert (light.type, light.memory_cost, light.time_cost, light.parallelism) == (Type.ID, 19_456, 2, 1)
    assert (strong.type, strong.memory_cost, strong.time_cost, strong.parallelism) == (Type.ID, 65_536, 3, 4)

"""Refresh families against a model of the rules: every order of refresh, retry, reuse, sign-out, time and restart."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from pydantic import SecretStr
from pymongo import MongoClient

from parley_auth.bootstrap import Core, open_core
from parley_auth.domain.session import Session
from parley_auth.settings import AuthSettings
from parley_kit.clock import ManualClock
from parley_kit.errors import Unauthenticated
from parley_kit.health import Readiness
from parley_kit.ids import new_id
from parley_live.memory import MemoryLive

DAY = 86_400.0
TIMES = st.sampled_from([0.5, 5.0, 9.999, 10.0, 10.001, 60.0, 599.0, 660.0, 7 * DAY, 29.5 * DAY, 31 * DAY])


@dataclass(eq=False)
class FamilyModel:
    sid: str
    started: float
    ended: float | None = None


@dataclass(eq=False)
class TokenModel:
    secret: str
    family: FamilyModel
    parent: TokenModel | None
    issued: float
    first_used: float | None = None
    successor_used: bool = False
    forgotten: bool = False

    def expired(self, now: float) -> bool:
        return now >= min(self.issued + 30 * DAY, self.family.started + 90 * DAY)

    def open(self, now: float) -> bool:
        return self.family.ended is None and not self.expired(now)

    def use(self, now: float) -> bool:
        """The rules in one place: whether a use now succeeds; what it changes."""
        if not self.open(now):
            return False
        if self.parent:
            self.parent.successor_used = True
        if self.first_used is None:
            self.first_used = now
        if self.successor_used or now - self.first_used > 10:
            self.family.ended = now
            return False
        return True


class FamilyMachine(RuleBasedStateMachine):
    tokens = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = ManualClock()
        self.model: list[TokenModel] = []
        self.users = 0
        self.start()

    def run(self, awaitable: Awaitable[Any]) -> Any:
        async def wait() -> Any:
            return await awaitable

        return self.runner.run(wait())

    def settings(self) -> AuthSettings:
        return AuthSettings(data_dir=Path(self.folder.name))

    def start(self) -> None:
        self.live = MemoryLive(self.clock)
        self.stack = AsyncExitStack()
        hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        service = open_core(self.settings(), self.live, self.clock, Readiness(), hasher)
        self.core: Core = self.run(self.stack.enter_async_context(service))
        self.upkeep()

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    async def attempt(self, token: TokenModel) -> Session | None:
        try:
            return await self.core.sessions.refresh(token.secret)
        except Unauthenticated:
            return None

    def issued(self, session: Session, family: FamilyModel, parent: TokenModel | None) -> TokenModel:
        token = TokenModel(session.refresh_token, family, parent, self.now)
        self.model.append(token)
        return token

    @initialize(target=tokens)
    def first_session(self) -> TokenModel:
        return self.begin()

    @rule(target=tokens)
    def another_session(self) -> TokenModel:
        return self.begin()

    def begin(self) -> TokenModel:
        self.users += 1
        session = self.run(self.core.accounts.sign_up(f"{self.users}@example.org", "12345678", "Ada", ""))
        family, _ = self.run(self.core.sessions._find(session.refresh_token))
        return self.issued(session, FamilyModel(family.id, self.now), None)

    @rule(target=tokens, token=tokens)
    def refresh(self, token: TokenModel) -> TokenModel:
        session = self.run(self.attempt(token))
        assert (session is not None) == token.use(self.now)
        return self.issued(session, token.family, token) if session else token

    @rule(target=tokens, token=tokens, count=st.integers(2, 4))
    def refresh_at_once(self, token: TokenModel, count: int) -> TokenModel:
        """Everybody sees the same: all get a sibling, or none does."""

        async def race() -> list[Session | None]:
            return await asyncio.gather(*(self.attempt(token) for _ in range(count)))

        sessions = self.run(race())
        allowed = token.use(self.now)
        assert [session is not None for session in sessions] == [allowed] * count
        return [self.issued(session, token.family, token) for session in sessions][-1] if allowed else token

    @rule(target=tokens, token=tokens)
    def retry_while_a_successor_is_used(self, token: TokenModel) -> TokenModel:
        """Either order is right, but only these two: the parent first, or the parent as reuse."""
        if token.parent is None:
            return token

        async def race() -> list[Session | None]:
            return await asyncio.gather(self.attempt(token.parent), self.attempt(token))

        open_before = token.open(self.now) and token.parent.open(self.now)
        parents, childs = self.run(race())
        order = [token.parent, token] if parents or not open_before else [token, token.parent]
        outcomes = {id(item): item.use(self.now) for item in order}
        assert (outcomes[id(token.parent)], outcomes[id(token)]) == (parents is not None, childs is not None)
        if parents:
            self.issued(parents, token.family, token.parent)
        return self.issued(childs, token.family, token) if childs else token

    @rule(token=tokens)
    def sign_out(self, token: TokenModel) -> None:
        self.run(self.core.sessions.sign_out(token.secret))
        if token.family.ended is None and not token.forgotten:
            token.family.ended = self.now

    @rule(seconds=TIMES)
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def upkeep(self) -> None:
        self.run(self.core.upkeep.turn())
        for token in self.model:
            token.forgotten |= token.expired(self.now)

    @rule()
    def restart(self) -> None:
        """The store stays, the hot state is lost."""
        self.run(self.stack.aclose())
        self.start()

    @invariant()
    def ended_sessions_are_revoked_and_no_others(self) -> None:
        for family in {token.family for token in self.model}:
            revoked = self.run(self.live.is_revoked(family.sid))
            if family.ended is None:
                assert not revoked
            elif self.now - family.ended <= 605:
                assert revoked

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.runner.close()
        self.folder.cleanup()


class MongoFamilyMachine(FamilyMachine):
    """The same on MongoDB; a database for each run."""

    def __init__(self, url: str) -> None:
        self.url, self.database = url, f"auth-{new_id()}"
        super().__init__()

    def settings(self) -> AuthSettings:
        return AuthSettings(data_dir=Path(self.folder.name), mongo_url=SecretStr(self.url), auth_database=self.database)

    def teardown(self) -> None:
        super().teardown()
        with MongoClient[dict[str, Any]](self.url) as client:
            client.drop_database(self.database)


def test_the_rules_hold_on_mongodb(mongo_url: str) -> None:
    few = settings(TestFamilyMachine.settings, max_examples=5)
    run_state_machine_as_test(lambda: MongoFamilyMachine(mongo_url), settings=few)


TestFamilyMachine = FamilyMachine.TestCase
TestFamilyMachine.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

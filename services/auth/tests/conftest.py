"""The handlers on their real adapters, with a clock that stands still and hashes that cost nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from parley_auth.bootstrap import Core, open_core
from parley_auth.settings import AuthSettings
from parley_kit.clock import ManualClock
from parley_kit.health import Readiness
from parley_live.memory import MemoryLive


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def live(clock: ManualClock) -> MemoryLive:
    return MemoryLive(clock)


@pytest.fixture
def hasher() -> PasswordHasher:
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def settings(tmp_path: Path) -> AuthSettings:
    return AuthSettings(data_dir=tmp_path)


@pytest.fixture
async def core(
    settings: AuthSettings, live: MemoryLive, clock: ManualClock, hasher: PasswordHasher
) -> AsyncIterator[Core]:
    async with open_core(settings, live, clock, Readiness(), hasher) as core:
        yield core

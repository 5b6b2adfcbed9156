from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from parley_kit.clock import SystemClock
from parley_worker.testing.platform import Platform, open_platform


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    async with open_platform(SystemClock()) as platform:
        yield platform

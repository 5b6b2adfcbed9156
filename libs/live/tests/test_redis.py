from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import ClassVar
from uuid import uuid4

import pytest

from parley_live.redis import RedisLive, RedisSettings, open_redis
from parley_live.testing.contract import LiveContract
from parley_live.testing.harness import Advance


class TestRedisLive(LiveContract):
    retention: ClassVar[float] = 1.0
    lifetime: ClassVar[float] = 1.0
    window: ClassVar[float] = 1.0

    @pytest.fixture
    async def live(self, redis_url: str) -> AsyncIterator[RedisLive]:
        settings = RedisSettings(
            redis_urls=(redis_url,), live_retention_seconds=self.retention, live_lifetime_seconds=self.lifetime
        )
        async with open_redis(settings, prefix=f"{uuid4().hex}:") as live:
            yield live

    @pytest.fixture
    def advance(self) -> Advance:
        return asyncio.sleep

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from parley_live.redis import RedisLive, RedisSettings, open_redis
from parley_live.testing.servers import Open, Proxy, RedisServer, running


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with running(tmp_path) as server:
        yield server


@pytest.fixture
async def other_server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with running(tmp_path) as server:
        yield server


@pytest.fixture
async def proxy(server: RedisServer) -> AsyncIterator[Proxy]:
    async with Proxy(server.port).running() as proxy:
        yield proxy


@pytest.fixture
def open_live() -> Open:
    def open_live(*urls: str) -> AbstractAsyncContextManager[RedisLive]:
        return open_redis(RedisSettings(redis_urls=urls))

    return open_live

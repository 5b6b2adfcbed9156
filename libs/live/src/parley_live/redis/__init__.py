"""The hot state of the cluster mode: one Redis server, or several by hash."""

from __future__ import annotations

from parley_live.redis.live import RedisLive, open_redis
from parley_live.redis.settings import RedisSettings

__all__ = ["RedisLive", "RedisSettings", "open_redis"]

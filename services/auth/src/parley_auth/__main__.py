"""`python -m parley_auth`: the auth service as a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parley_auth.bootstrap import AuthService, open_auth
from parley_auth.settings import AuthSettings
from parley_kit.clock import Clock
from parley_kit.health import Readiness
from parley_kit.logs import get_logger
from parley_kit.service import HealthSettings, run_service
from parley_live.redis import RedisSettings, open_redis

log = get_logger("parley_auth")


class ProcessSettings(AuthSettings, RedisSettings, HealthSettings):
    """All that the process reads."""


@asynccontextmanager
async def open_process(settings: ProcessSettings, clock: Clock, readiness: Readiness) -> AsyncIterator[AuthService]:
    """The service on its servers. Raises ConfigError."""
    async with open_redis(settings) as live:
        readiness.add("redis", live.check)
        async with open_auth(settings, live, clock, readiness) as service:
            log.info("serving", address=service.address)
            yield service


def main() -> None:
    run_service("parley-auth", ProcessSettings, open_process)


if __name__ == "__main__":
    main()

"""`python -m parley_gateway`: one gateway as a process of its own; probes are answered on its own port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parley_gateway.bootstrap import RunningGateway, open_gateway
from parley_gateway.settings import GatewaySettings
from parley_kit.clock import Clock
from parley_kit.health import Readiness
from parley_kit.logs import get_logger
from parley_kit.service import run_service
from parley_live.redis import RedisSettings, open_redis

log = get_logger("parley_gateway")


class ProcessSettings(GatewaySettings, RedisSettings):
    """All that the process reads."""


@asynccontextmanager
async def open_process(settings: ProcessSettings, clock: Clock, readiness: Readiness) -> AsyncIterator[RunningGateway]:
    """The gateway on its servers. Raises ConfigError."""
    async with open_redis(settings) as live:
        readiness.add("redis", live.check)
        async with open_gateway(settings, live, clock, readiness) as gateway:
            log.info("serving", address=f"{settings.gateway_host}:{gateway.port}")
            yield gateway


def main() -> None:
    run_service("parley-gateway", ProcessSettings, open_process)


if __name__ == "__main__":
    main()

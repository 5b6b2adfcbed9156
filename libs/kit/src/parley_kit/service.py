"""A service as a process of its own: settings, logs, traces, health, signals, in that order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

from pydantic import Field
from starlette.applications import Starlette

from parley_kit import lifecycle
from parley_kit.clock import Clock, SystemClock
from parley_kit.errors import Unavailable
from parley_kit.health import Readiness, health_routes
from parley_kit.http import bind, serve_http
from parley_kit.logs import configure_logs, get_logger
from parley_kit.settings import ConfigError, Settings, refuse_to_start
from parley_kit.telemetry import configure_telemetry

log = get_logger(__name__)

S = TypeVar("S", bound=Settings)
Open = Callable[[S, Clock, Readiness], AbstractAsyncContextManager[object]]


class HealthSettings(Settings):
    """Of a service that has no HTTP port otherwise."""

    health_host: str = Field("127.0.0.1", description="the address that /livez, /readyz and /metrics listen on")
    health_port: int = Field(0, ge=0, le=65535, description="their port; 0: a free one")


def run_service(name: str, kind: type[S], open_service: Open[S]) -> None:
    """The main function: serve until SIGTERM or SIGINT, then exit code 0.

    Settings that cannot work are one line on stderr and exit code 2. With `HealthSettings`, probes are answered on a
    port of their own from the first moment: not ready, and why, while the service still opens.
    """
    try:
        settings = kind.load()
    except ConfigError as error:
        refuse_to_start(error)
    configure_logs(settings.log_level)
    configure_telemetry(name)
    readiness = Readiness()
    service = open_service(settings, SystemClock(), readiness)
    if isinstance(settings, HealthSettings):
        service = _with_health(service, settings, readiness)
    lifecycle.run(service, readiness)


@asynccontextmanager
async def _with_health(
    service: AbstractAsyncContextManager[object], settings: HealthSettings, readiness: Readiness
) -> AsyncIterator[object]:
    """Probes are answered before the service opens and until it has closed."""
    is_open = asyncio.Event()

    async def check() -> None:
        if not is_open.is_set():
            raise Unavailable("the service is still opening")

    readiness.add("start", check)
    listener = bind(settings.health_host, settings.health_port)
    try:
        async with serve_http(Starlette(routes=health_routes(readiness)), listener) as port:
            log.info("health_served", address=f"{settings.health_host}:{port}")
            async with service as opened:
                is_open.set()
                yield opened
    finally:
        listener.close()

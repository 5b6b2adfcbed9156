"""The whole platform in one process: each service behind its own loopback gRPC, on the embedded adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from parley_auth.bootstrap import open_auth
from parley_bus.memory import MemoryBus
from parley_conversation.bootstrap import open_conversation
from parley_gateway.bootstrap import open_gateway
from parley_kit.clock import Clock
from parley_kit.health import Readiness
from parley_kit.http import bind
from parley_kit.settings import ConfigError, prepare_data_dir
from parley_live.memory import MemoryLive
from parley_standalone.lock import hold_data_dir
from parley_standalone.settings import PlatformSettings
from parley_worker.bootstrap import open_worker
from parley_worker.core import ModelInfo


@dataclass(frozen=True, slots=True)
class Platform:
    """What is running. `url` is the gateway's, without a path."""

    url: str
    model: ModelInfo


@asynccontextmanager
async def open_platform(settings: PlatformSettings, clock: Clock, readiness: Readiness) -> AsyncIterator[Platform]:
    """Open every service in the order of their needs; close them in reverse, the gateway first.

    Raises ConfigError when the data folder cannot be written to or is in use, the port is taken, or the model folder
    is not complete.
    """
    data_dir = prepare_data_dir(settings.base.data_dir)
    async with AsyncExitStack() as stack:
        lock = stack.enter_context(hold_data_dir(data_dir))
        _check_port(settings)
        bus = await stack.enter_async_context(MemoryBus())
        live = MemoryLive(clock)
        auth = await stack.enter_async_context(open_auth(settings.auth, live, clock, readiness))
        peers = {"auth_address": auth.address}
        conversation_settings = settings.conversation.model_copy(update=peers)
        conversation = await stack.enter_async_context(
            open_conversation(conversation_settings, bus, live, clock, readiness)
        )
        peers["conversation_address"] = conversation.address
        worker_settings = settings.worker.model_copy(update=peers)
        worker = await stack.enter_async_context(open_worker(worker_settings, bus, live, clock, readiness))
        gateway_settings = settings.gateway.model_copy(update=peers)
        gateway = await stack.enter_async_context(open_gateway(gateway_settings, live, clock, readiness))
        url = f"http://{_reachable(settings.gateway.gateway_host)}:{gateway.port}"
        lock.announce(url)
        yield Platform(url, worker.model)


def _check_port(settings: PlatformSettings) -> None:
    """Say at once what the gateway would only say after the model is loaded."""
    try:
        bind(settings.gateway.gateway_host, settings.gateway.gateway_port).close()
    except ConfigError as error:
        raise ConfigError(f"PARLEY_GATEWAY_PORT: {error}") from None


def _reachable(host: str) -> str:
    """The host part of an address that leads to what listens on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"[{host}]" if ":" in host else host

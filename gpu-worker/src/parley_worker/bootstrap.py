"""Builds a worker from its settings: the one place that knows which backend and which transport are used."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from parley_bus.base import Bus
from parley_kit.clock import Clock
from parley_kit.grpc import open_channel
from parley_kit.health import Readiness
from parley_kit.ids import new_id
from parley_kit.settings import ConfigError
from parley_kit.tls import CONVERSATION, load_tls
from parley_live.base import Live
from parley_worker.adapters.grpc import GrpcCoordinator
from parley_worker.backends.base import Backend
from parley_worker.backends.openai.config import OpenAiConfig
from parley_worker.backends.scripted import ScriptedBackend
from parley_worker.config import EngineConfig
from parley_worker.settings import OPENAI_CAPACITY, SCRIPTED_CAPACITY, BackendKind, WorkerSettings
from parley_worker.worker import Worker


@asynccontextmanager
async def open_worker(
    settings: WorkerSettings, bus: Bus, live: Live, clock: Clock, readiness: Readiness
) -> AsyncIterator[Worker]:
    """A running worker; at the end of the block it hands back what it has in hand. Raises ConfigError."""
    token = settings.service_token.get_secret_value()
    async with (
        open_backend(settings, clock) as backend,
        open_channel(settings.conversation_address, token, tls=load_tls(settings), peer=CONVERSATION) as channel,
    ):
        coordinator = GrpcCoordinator(channel, new_id(), clock)
        worker = Worker(backend, coordinator, bus, live, clock)
        readiness.add("worker", worker.check)
        async with worker.serve():
            yield worker


@asynccontextmanager
async def open_backend(settings: WorkerSettings, clock: Clock) -> AsyncIterator[Backend]:
    """The backend that the settings name. Raises ConfigError when it cannot be had."""
    match settings.worker_backend:
        case BackendKind.SCRIPTED:
            capacity = settings.worker_capacity or SCRIPTED_CAPACITY
            yield ScriptedBackend(settings.scripted_interval_ms, capacity, name=settings.model_name, clock=clock)
        case BackendKind.TORCH:
            async with _open_torch(settings) as backend:
                yield backend
        case BackendKind.OPENAI:
            async with _open_openai(settings, clock) as backend:
                yield backend


@asynccontextmanager
async def _open_torch(settings: WorkerSettings) -> AsyncIterator[Backend]:
    from parley_worker.backends.torch import open_torch_backend  # a scripted worker needs no tokenizer

    config = EngineConfig(
        settings.model_folder,
        dtype=settings.worker_dtype,
        capacity=settings.worker_capacity,
        kv_bytes=settings.worker_kv_bytes,
        threads=settings.worker_threads,
        executor=settings.worker_executor,
        speculation=settings.worker_speculation,
    )
    async with AsyncExitStack() as stack:
        try:
            backend = await stack.enter_async_context(open_torch_backend(config, settings.model_name))
        except ValueError as error:  # CheckpointError, EngineConfigError: each one readable line
            raise ConfigError(_name_variable(str(error))) from None
        yield backend


@asynccontextmanager
async def _open_openai(settings: WorkerSettings, clock: Clock) -> AsyncIterator[Backend]:
    from parley_worker.backends.openai.opening import open_openai_backend  # the others need no HTTP client

    if settings.openai_url is None:
        raise ConfigError("PARLEY_OPENAI_URL: the openai backend needs the address of its server")
    config = OpenAiConfig(
        settings.openai_url,
        api_key=settings.openai_api_key.get_secret_value() if settings.openai_api_key else None,
        model=settings.openai_model,
        name=settings.worker_model_name,
        dialect=settings.openai_dialect,
        context_length=settings.openai_context_length,
        capacity=settings.worker_capacity or OPENAI_CAPACITY,
        connect_seconds=settings.openai_connect_seconds,
        silence_seconds=settings.openai_silence_seconds,
        patience_seconds=settings.openai_patience_seconds,
    )
    async with open_openai_backend(config, clock) as backend:
        yield backend


def _name_variable(refusal: str) -> str:
    """The engine names its own setting when that is at fault; else it is the model folder."""
    setting, _, reason = refusal.partition(": ")
    known = setting in ("dtype", "executor", "kv_bytes", "threads")
    return f"PARLEY_WORKER_{setting.upper()}: {reason}" if known else f"PARLEY_WORKER_MODEL: {refusal}"

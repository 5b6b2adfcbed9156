"""How the service is put together: the only place that knows which adapters are used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, TypeVar

from parley_bus import Bus
from parley_conversation.adapters import sqlite
from parley_conversation.admission import Admission
from parley_conversation.catalogue import Catalogue
from parley_conversation.endings import Endings
from parley_conversation.entrypoints.consumer import GenerationConsumer
from parley_conversation.entrypoints.grpc import ConversationServicer, Handlers
from parley_conversation.entrypoints.worker_grpc import WorkerServicer
from parley_conversation.facts import Facts
from parley_conversation.handlers.access import Access
from parley_conversation.handlers.conversations import ConversationHandlers
from parley_conversation.handlers.generations import GenerationHandlers
from parley_conversation.handlers.leases import LeaseHandlers
from parley_conversation.handlers.messages import MessageHandlers
from parley_conversation.handlers.sends import SendHandlers
from parley_conversation.ports import Conversations, Stores
from parley_conversation.relay import Relay
from parley_conversation.settings import ConversationSettings
from parley_conversation.sweep import Sweep
from parley_kit import grpc as kit_grpc
from parley_kit.clock import Clock
from parley_kit.errors import Unavailable
from parley_kit.grpc import Guard, open_channel, open_server
from parley_kit.health import Readiness
from parley_kit.settings import prepare_data_dir
from parley_kit.tls import AUTH, GATEWAY, WORKER, load_tls
from parley_kit.tokens import TokenVerifier, jwks_from
from parley_live import Live
from parley_proto.conversation.v1.conversation_pb2_grpc import add_ConversationServiceServicer_to_server
from parley_proto.conversation.v1.worker_pb2_grpc import add_WorkerServiceServicer_to_server

T = TypeVar("T")

DATABASE = "conversation.sqlite3"
NO_ID = "00000000-0000-0000-0000-000000000000"
CONVERSATION_SERVICE = "/parley_proto.conversation.v1.ConversationService"
WORKER_SERVICE = "/parley_proto.conversation.v1.WorkerService"
ACCESS = {
    CONVERSATION_SERVICE: kit_grpc.Access.USER,
    f"{CONVERSATION_SERVICE}/ListModels": kit_grpc.Access.PUBLIC,
    WORKER_SERVICE: kit_grpc.Access.SERVICE,
}
CALLERS = {CONVERSATION_SERVICE: {GATEWAY}, WORKER_SERVICE: {WORKER}}


class HasConversations(Protocol):
    @property
    def conversations(self) -> Conversations: ...


@dataclass(frozen=True, slots=True)
class Service:
    """The use cases over open stores: no server, no task."""

    handlers: Handlers
    leases: LeaseHandlers
    endings: Endings
    sweep: Sweep


@dataclass(frozen=True, slots=True)
class Running:
    """A conversation service that serves. address: host:port of its gRPC server."""

    address: str


def build(stores: Stores, bus: Bus, live: Live, clock: Clock, settings: ConversationSettings) -> Service:
    """Wire the use cases. No I/O."""
    fresh = timedelta(seconds=settings.model_fresh_seconds)
    catalogue = Catalogue(stores.models, clock, settings.default_model, settings.models, fresh)
    facts = Facts(bus, clock)
    access = Access(stores)
    relay = Relay(stores, facts, live, catalogue)
    endings = Endings(stores.generations, live, relay, clock)
    generations = GenerationHandlers(stores.generations, access, relay, endings, live, clock)
    messages = MessageHandlers(stores.chat_log, access, relay)
    admission = Admission(stores.generations, settings.max_active, settings.max_active_per_user)
    time_limit = timedelta(seconds=settings.generation_seconds)
    lease = timedelta(seconds=settings.lease_seconds)
    return Service(
        handlers=Handlers(
            ConversationHandlers(stores, access, generations, catalogue, facts, clock, settings.sizes),
            messages,
            SendHandlers(stores, access, messages, relay, admission, clock, settings.sizes, time_limit),
            generations,
            catalogue,
        ),
        leases=LeaseHandlers(stores, relay, endings, catalogue, clock, lease),
        endings=endings,
        sweep=Sweep(stores, relay, endings, clock, settings.patience, settings.sweep_seconds, settings.max_active),
    )


@asynccontextmanager
async def open_conversation(
    settings: ConversationSettings, bus: Bus, live: Live, clock: Clock, readiness: Readiness
) -> AsyncIterator[Running]:
    """Serve until the block ends: then calls are drained first, the sweep and the consumer stop, the stores close."""
    tls = load_tls(settings)
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(settings, readiness))
        auth = await stack.enter_async_context(open_channel(settings.auth_address, tls=tls, peer=AUTH))
        service = build(stores, bus, live, clock, settings)
        consumer = GenerationConsumer(bus, service.endings, clock)
        tasks = {
            "conversation-sweep": await stack.enter_async_context(_running("sweep", service.sweep.run)),
            "conversation-consumer": await stack.enter_async_context(_running("consumer", consumer.run)),
        }
        verifier = TokenVerifier(jwks_from(auth), live.is_revoked, clock)
        server = await stack.enter_async_context(
            open_server(
                [
                    lambda it: add_ConversationServiceServicer_to_server(ConversationServicer(service.handlers), it),
                    lambda it: add_WorkerServiceServicer_to_server(WorkerServicer(service.leases), it),
                ],
                Guard(ACCESS, verifier.verify, settings.service_token.get_secret_value(), CALLERS),
                settings.conversation_host,
                settings.conversation_port,
                tls,
            )
        )
        for name, task in tasks.items():
            readiness.add(name, lambda task=task: _turns(task))  # type: ignore[misc]
        yield Running(f"{settings.conversation_host}:{server.port}")


@asynccontextmanager
async def open_stores(settings: ConversationSettings, readiness: Readiness) -> AsyncIterator[Stores]:
    """Those of the servers that the settings name, once they answer; SQLite for the others. Raises ConfigError."""
    mongo_url, cassandra = settings.mongo_url, settings.cassandra_hosts is not None
    async with AsyncExitStack() as stack:
        if mongo_url is None or not cassandra:
            path = prepare_data_dir(settings.data_dir) / DATABASE
            local = _watched(sqlite.open_stores(path), "conversation-store", _answers, readiness)
            stores = await stack.enter_async_context(local)
        # Imported here: embedded mode need not wait for clients that it does not use.
        if mongo_url is not None:
            from parley_conversation.adapters.mongo import open_documents

            opening = open_documents(mongo_url.get_secret_value(), settings.conversation_database)
            documents = await stack.enter_async_context(_watched(opening, "mongodb", _answers, readiness))
        if cassandra:
            from parley_conversation.adapters.cassandra import open_chat_log

            chat_log = await stack.enter_async_context(
                _watched(open_chat_log(settings), "cassandra", lambda log: log.before(NO_ID, None, 1), readiness)
            )
        source = stores if mongo_url is None else documents
        yield Stores(
            source.conversations, source.generations, chat_log if cassandra else stores.chat_log, source.models
        )


def _answers(stores: HasConversations) -> Awaitable[object]:
    return stores.conversations.get(NO_ID)


@asynccontextmanager
async def _watched(
    opening: AbstractAsyncContextManager[T], name: str, check: Callable[[T], Awaitable[object]], readiness: Readiness
) -> AsyncIterator[T]:
    """A store that /readyz names also while its server is waited for."""
    opened: T | None = None

    async def answers() -> None:
        if opened is None:
            raise Unavailable("it is waited for")
        await check(opened)

    readiness.add(name, answers)
    async with opening as store:
        opened = store
        yield store


@asynccontextmanager
async def _running(name: str, work: Callable[[], Coroutine[None, None, None]]) -> AsyncIterator[asyncio.Task[None]]:
    """Own a task that works until the block ends."""
    task = asyncio.create_task(work(), name=name)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _turns(task: asyncio.Task[None]) -> None:
    """Raises what ended a task that should never end."""
    if task.done():
        if not task.cancelled():
            task.result()
        raise RuntimeError(f"{task.get_name()} has ended")

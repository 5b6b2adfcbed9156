"""Puts a gateway together: the only place that knows which parts are used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from parley_gateway.app import build_app
from parley_gateway.backends import Backends, open_backends
from parley_gateway.capacity import Capacity
from parley_gateway.descriptors import allow_descriptors
from parley_gateway.entrypoints.graphql.engine import Engine
from parley_gateway.entrypoints.graphql.parameters import MAX_BODY_BYTES
from parley_gateway.entrypoints.graphql.schema import build_schema, core_schema
from parley_gateway.entrypoints.ws.denials import unlogged_denials
from parley_gateway.gateway import Gateway
from parley_gateway.settings import GatewaySettings
from parley_kit.clock import Clock
from parley_kit.context import budget
from parley_kit.errors import Unavailable
from parley_kit.health import Readiness
from parley_kit.http import bind, serve_http
from parley_kit.tls import load_tls
from parley_kit.tokens import TokenVerifier
from parley_live.base import Live
from parley_proto.conversation.v1 import conversation_pb2

CHECK_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """A gateway that takes requests on `port`."""

    port: int


@asynccontextmanager
async def open_gateway(
    settings: GatewaySettings, live: Live, clock: Clock, readiness: Readiness
) -> AsyncIterator[RunningGateway]:
    """Serve until the block ends; then sockets are closed (1012), streams end, and running requests get 5 s.

    Raises ConfigError, also when the port is taken. Ready once a worker serves the default model.
    """
    tls = load_tls(settings)
    allow_descriptors(2 * (settings.gateway_max_streams + settings.gateway_max_requests))
    listener = bind(settings.gateway_host, settings.gateway_port)
    stopping = asyncio.Event()
    try:
        async with open_backends(settings.auth_address, settings.conversation_address, tls) as backends:
            readiness.add("auth", lambda: _check_auth(backends))
            readiness.add("conversation", lambda: _check_conversation(backends))
            readiness.add("model", lambda: _check_model(backends))
            app = build_app(_gateway(settings, backends, live, clock), readiness, stopping)
            with unlogged_denials():
                async with serve_http(app, listener, **_server_options(settings)) as port:
                    try:
                        yield RunningGateway(port)
                    finally:
                        stopping.set()
    finally:
        listener.close()


def _gateway(settings: GatewaySettings, backends: Backends, live: Live, clock: Clock) -> Gateway:
    development = settings.env == "development"
    return Gateway(
        engine=Engine(core_schema(build_schema()), introspection=development),
        backends=backends,
        verifier=TokenVerifier(backends.fetch_jwks, live.is_revoked, clock),
        live=live,
        clock=clock,
        requests=Capacity(settings.gateway_max_requests, "requests"),
        streams=Capacity(settings.gateway_max_streams, "streams"),
        origins=settings.origins,
        behind_proxy=settings.gateway_trust_forwarded,
        development=development,
    )


def _server_options(settings: GatewaySettings) -> dict[str, object]:
    return {
        "ws": "websockets-sansio",
        "ws_max_size": MAX_BODY_BYTES,
        "ws_ping_interval": 20.0,
        "ws_ping_timeout": 60.0,  # generous: a slow reader sees the ping behind all that waits for it
        "ws_per_message_deflate": False,
        "server_header": False,
        "timeout_keep_alive": 75,  # longer than clients keep idle connections, so that they are the ones who close
        "proxy_headers": False,  # uvicorn would take the first entry of X-Forwarded-For: see client_address
    }


async def _check_auth(backends: Backends) -> None:
    with budget(CHECK_SECONDS):
        await backends.fetch_jwks()


async def _check_conversation(backends: Backends) -> conversation_pb2.ListModelsResponse:
    with budget(CHECK_SECONDS):
        return await backends.conversation.ListModels(conversation_pb2.ListModelsRequest())


async def _check_model(backends: Backends) -> None:
    """Raises Unavailable until the default model, which is the first, is served."""
    reply = await _check_conversation(backends)
    if not reply.models or not reply.models[0].available:
        raise Unavailable("no worker serves the default model")

"""The server side: who calls, for how long, under which trace, and what went wrong."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from parley_kit import context, telemetry
from parley_kit.context import RequestContext
from parley_kit.errors import Internal, ParleyError
from parley_kit.grpc.errors import to_status
from parley_kit.grpc.guard import Guard
from parley_kit.grpc.options import SERVER_OPTIONS
from parley_kit.logs import get_logger
from parley_kit.settings import ConfigError
from parley_kit.tls import Tls

log = get_logger(__name__)

DRAIN_SECONDS = 5.0
DNS_NAMES = "peer_dns"
Register = Callable[[grpc.aio.Server], None]
Method = Callable[[Any, grpc.aio.ServicerContext[Any, Any]], Awaitable[Any]]


class _Incoming(grpc.aio.ServerInterceptor):
    """`named`: whether callers show certificates."""

    def __init__(self, guard: Guard, named: bool) -> None:
        self._guard = guard
        self._named = named

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler if self._guard.is_public(handler_call_details.method) else None
        return grpc.unary_unary_rpc_method_handler(
            self._wrap(handler_call_details.method, cast("Method", handler.unary_unary)),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _wrap(self, method: str, call: Method) -> Method:
        async def guarded(request: Any, grpc_context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            metadata = {key: value for key, value in grpc_context.invocation_metadata() or () if isinstance(value, str)}
            left = grpc_context.time_remaining()
            deadline = None if left is None else time.monotonic() + left
            with telemetry.span(method, metadata):
                try:
                    if self._named:
                        self._guard.admit_caller(method, _names(grpc_context))
                    token, principal = await self._guard.admit(method, metadata)
                    with context.enter(RequestContext(deadline, token, principal)):
                        return await call(request, grpc_context)
                except ParleyError as error:
                    known = error
                except Exception as error:
                    log.exception("rpc_failed", method=method)
                    known = Internal(repr(error))
                return await grpc_context.abort(*to_status(known))

        return guarded


def _names(grpc_context: grpc.aio.ServicerContext[Any, Any]) -> frozenset[str]:
    """The DNS names in the caller's certificate."""
    return frozenset(name.decode() for name in grpc_context.auth_context().get(DNS_NAMES, ()))


class Server:
    """A running gRPC server. `port` is where it listens."""

    def __init__(self, port: int, health_servicer: health.aio.HealthServicer) -> None:
        self.port = port
        self._health = health_servicer

    async def set_serving(self, serving: bool) -> None:
        """What grpc.health.v1 says for the whole server."""
        status = health_pb2.HealthCheckResponse
        await self._health.set("", status.SERVING if serving else status.NOT_SERVING)


@asynccontextmanager
async def open_server(
    registrations: Sequence[Register], guard: Guard, host: str = "127.0.0.1", port: int = 0, tls: Tls | None = None
) -> AsyncIterator[Server]:
    """Serve until the block ends; then refuse new calls and give running ones 5 s. port 0: a free one.

    With `tls`, callers must show a certificate too, and the guard looks at its names. Raises ConfigError when the port
    cannot be had.
    """
    server = grpc.aio.server(interceptors=[_Incoming(guard, named=tls is not None)], options=SERVER_OPTIONS)
    health_servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    for register in registrations:
        register(server)
    bound = _bind(server, f"{host}:{port}", tls)
    await server.start()
    running = Server(bound, health_servicer)
    await running.set_serving(True)
    try:
        yield running
    finally:
        await health_servicer.enter_graceful_shutdown()
        await server.stop(DRAIN_SECONDS)


def _bind(server: grpc.aio.Server, address: str, tls: Tls | None) -> int:
    try:
        if tls is None:
            return server.add_insecure_port(address)
        credentials = grpc.ssl_server_credentials([(tls.key, tls.cert)], tls.ca, require_client_auth=True)
        return server.add_secure_port(address, credentials)
    except RuntimeError:
        raise ConfigError(f"cannot listen on {address}: is another process there?") from None

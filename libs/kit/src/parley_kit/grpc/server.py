"""The server side: who calls, for how long, under which trace, and what went wrong."""

from __future__ import annotations

import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any, cast

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from parley_kit import context, telemetry
from parley_kit.context import Principal, RequestContext
from parley_kit.errors import Internal, ParleyError, Unauthenticated
from parley_kit.grpc.errors import to_status
from parley_kit.grpc.options import AUTHORIZATION, SERVER_OPTIONS, SERVICE_TOKEN
from parley_kit.logs import get_logger
from parley_kit.settings import ConfigError

log = get_logger(__name__)

DRAIN_SECONDS = 5.0
Register = Callable[[grpc.aio.Server], None]
Method = Callable[[Any, grpc.aio.ServicerContext[Any, Any]], Awaitable[Any]]


class Access(Enum):
    """What a method asks of its caller."""

    PUBLIC = "public"
    USER = "user"
    SERVICE = "service"


class Guard:
    """Decides who may call what. `access` maps a service (`/pkg.Service`) or one method (`/pkg.Service/Method`).

    A method that is not listed is refused, so that forgetting is safe.
    """

    def __init__(
        self,
        access: Mapping[str, Access],
        verify: Callable[[str], Awaitable[Principal]],
        service_token: str,
    ) -> None:
        self._access = {"/grpc.health.v1.Health": Access.PUBLIC, **access}
        self._verify = verify
        self._service_token = service_token.encode()

    async def admit(self, method: str, metadata: Mapping[str, str]) -> tuple[str | None, Principal | None]:
        """The caller's access token and who it speaks for. Raises Unauthenticated."""
        match self._access_of(method):
            case Access.PUBLIC:
                return None, None
            case Access.SERVICE if self._service_token and hmac.compare_digest(
                metadata.get(SERVICE_TOKEN, "").encode(), self._service_token
            ):
                return None, None
            case Access.USER:
                scheme, _, token = metadata.get(AUTHORIZATION, "").partition(" ")
                if scheme.lower() == "bearer" and token:
                    return token, await self._verify(token)
        raise Unauthenticated("sign in first: this needs an access token")

    def is_public(self, method: str) -> bool:
        return self._access_of(method) is Access.PUBLIC

    def _access_of(self, method: str) -> Access | None:
        return self._access.get(method) or self._access.get(method.rpartition("/")[0])


class _Incoming(grpc.aio.ServerInterceptor):
    def __init__(self, guard: Guard) -> None:
        self._guard = guard

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
    registrations: Sequence[Register], guard: Guard, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Server]:
    """Serve until the block ends; then refuse new calls and give running ones 5 s. port 0: a free one.

    Raises ConfigError when the port cannot be had.
    """
    server = grpc.aio.server(interceptors=[_Incoming(guard)], options=SERVER_OPTIONS)
    health_servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    for register in registrations:
        register(server)
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError:
        raise ConfigError(f"cannot listen on {host}:{port}: is another process there?") from None
    await server.start()
    running = Server(bound, health_servicer)
    await running.set_serving(True)
    try:
        yield running
    finally:
        await health_servicer.enter_graceful_shutdown()
        await server.stop(DRAIN_SECONDS)

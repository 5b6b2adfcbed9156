"""The client side: what the current request carries goes along, and errors come back as our own."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from parley_kit import context, telemetry
from parley_kit.grpc.errors import from_rpc_error
from parley_kit.grpc.options import AUTHORIZATION, CLIENT_OPTIONS, SERVICE_TOKEN
from parley_kit.grpc.retries import Retries, is_read
from parley_kit.tls import Tls

DEFAULT_TIMEOUT = 10.0
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,4096}")
"""RFC 6750's syntax. What a client calls a token and is none cannot travel in metadata, and would fail public calls."""


class _Outgoing(grpc.aio.UnaryUnaryClientInterceptor):
    """Adds the deadline left, the trace, the user's token (or the service's), and translates errors."""

    def __init__(self, service_token: str | None) -> None:
        self._service_token = service_token
        self._retries = Retries()

    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        async def call() -> Any:
            try:
                return await (await continuation(self._details(client_call_details), request))
            except grpc.aio.AioRpcError as error:
                raise from_rpc_error(error) from None

        return await (self._retries.run(call) if is_read(_text(client_call_details.method)) else call())

    def _details(self, details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        metadata = list(details.metadata or ())
        metadata += telemetry.outgoing().items()
        token = context.current().access_token
        if token is not None and _TOKEN.fullmatch(token):
            metadata.append((AUTHORIZATION, f"Bearer {token}"))
        if self._service_token is not None:
            metadata.append((SERVICE_TOKEN, self._service_token))
        return grpc.aio.ClientCallDetails(
            details.method,
            context.remaining(details.timeout or DEFAULT_TIMEOUT),
            grpc.aio.Metadata(*metadata),
            details.credentials,
            details.wait_for_ready,
        )


def _text(method: str | bytes) -> str:
    """gRPC says bytes where its types say text."""
    return method.decode() if isinstance(method, bytes) else method


@asynccontextmanager
async def open_channel(
    address: str, service_token: str | None = None, *, tls: Tls | None = None, peer: str = ""
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel for generated stubs. Calls raise `ParleyError`s and end within the request's budget (10 s at most).

    A peer that is not there, or has been silent for 2 s, is Unavailable; reads are tried again within a second.
    With `tls`, the other side must show a certificate for the name `peer`, whatever its address.
    """
    interceptors = [_Outgoing(service_token)]
    if tls is None:
        channel = grpc.aio.insecure_channel(address, options=CLIENT_OPTIONS, interceptors=interceptors)
    else:
        options = (*CLIENT_OPTIONS, ("grpc.ssl_target_name_override", peer))
        credentials = grpc.ssl_channel_credentials(tls.ca, tls.key, tls.cert)
        channel = grpc.aio.secure_channel(address, credentials, options=options, interceptors=interceptors)
    try:
        yield channel
    finally:
        await channel.close()

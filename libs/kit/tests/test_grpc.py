"""Errors, deadlines, tokens and traces survive a hop over real gRPC."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry import trace

from parley_kit import context, telemetry
from parley_kit.context import Principal, RequestContext
from parley_kit.errors import (
    PUBLIC_ERRORS,
    BadInput,
    DeadlineExceeded,
    Internal,
    ParleyError,
    Retryable,
    Unauthenticated,
    Unavailable,
)
from parley_kit.grpc import Access, Guard, open_channel, open_server
from parley_kit.grpc.options import SERVICE_TOKEN
from parley_kit.settings import ConfigError
from parley_proto.auth.v1 import auth_pb2, auth_pb2_grpc

SERVICE = "/parley_proto.auth.v1.AuthService"
ACCESS = {
    SERVICE: Access.PUBLIC,
    f"{SERVICE}/GetUser": Access.USER,
    f"{SERVICE}/GetJwks": Access.SERVICE,
}


class Servicer(auth_pb2_grpc.AuthServiceServicer):
    """Does what the test says, and notes what the call brought."""

    act: Callable[[], Any]

    def _answer(self) -> None:
        self.context = context.current()
        self.trace_id = trace.get_current_span().get_span_context().trace_id
        self.act()

    async def SignIn(self, request: auth_pb2.SignInRequest, context: Any) -> auth_pb2.SignInResponse:  # noqa: N802
        self._answer()
        return auth_pb2.SignInResponse()

    async def GetUser(self, request: auth_pb2.GetUserRequest, context: Any) -> auth_pb2.GetUserResponse:  # noqa: N802
        self._answer()
        return auth_pb2.GetUserResponse()

    async def GetJwks(self, request: auth_pb2.GetJwksRequest, context: Any) -> auth_pb2.GetJwksResponse:  # noqa: N802
        self._answer()
        return auth_pb2.GetJwksResponse()


@pytest.fixture
def servicer() -> Servicer:
    telemetry.configure_telemetry("test")
    servicer = Servicer()
    servicer.act = lambda: None
    return servicer


@pytest.fixture
async def address(servicer: Servicer) -> AsyncIterator[str]:
    async def verify(token: str) -> Principal:
        if token != "good":
            raise Unauthenticated("bad token")
        return Principal("user", "session", 0.0)

    guard = Guard(ACCESS, verify, service_token="between services")
    registration = lambda server: auth_pb2_grpc.add_AuthServiceServicer_to_server(servicer, server)  # noqa: E731
    async with open_server([registration], guard) as server:
        yield f"127.0.0.1:{server.port}"


@pytest.fixture
async def stub(address: str) -> AsyncIterator[auth_pb2_grpc.AuthServiceAsyncStub]:
    async with open_channel(address) as channel:
        yield auth_pb2_grpc.AuthServiceStub(channel)


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("kind", PUBLIC_ERRORS, ids=lambda kind: kind.code)
async def test_an_error_arrives_as_it_was_raised(kind: type[ParleyError], servicer: Servicer, stub: Any) -> None:
    error = kind("naïve message", 7.5) if issubclass(kind, Retryable) else kind("naïve message")
    servicer.act = lambda: _raise(error)
    with pytest.raises(kind) as caught:
        await stub.SignIn(auth_pb2.SignInRequest())
    assert caught.value.message == ("internal error" if kind is Internal else "naïve message")
    assert getattr(caught.value, "retry_after", 7.5) == 7.5


async def test_bad_input_names_its_field(servicer: Servicer, stub: Any) -> None:
    servicer.act = lambda: _raise(BadInput("too long", "display_name"))
    with pytest.raises(BadInput) as caught:
        await stub.SignIn(auth_pb2.SignInRequest())
    assert caught.value.field == "display_name"


async def test_a_bug_is_masked(servicer: Servicer, stub: Any) -> None:
    servicer.act = lambda: _raise(RuntimeError("secret detail"))
    with pytest.raises(Internal) as caught:
        await stub.SignIn(auth_pb2.SignInRequest())
    assert "secret" not in caught.value.message


async def test_the_budget_becomes_the_deadline_of_the_hop(servicer: Servicer, stub: Any) -> None:
    """Not exactly: gRPC sends what is left, rounded up to 10 ms, and it counts from the arrival."""
    with context.budget(3.0) as caller:
        await stub.SignIn(auth_pb2.SignInRequest())
    assert servicer.context.deadline == pytest.approx(caller.deadline, abs=1.0)


async def test_a_spent_budget_makes_no_call(servicer: Servicer, stub: Any) -> None:
    servicer.act = lambda: pytest.fail("called")
    with context.enter(RequestContext(deadline=time.monotonic() - 1)), pytest.raises(DeadlineExceeded):
        await stub.SignIn(auth_pb2.SignInRequest())


async def test_a_user_call_needs_a_good_token(servicer: Servicer, stub: Any) -> None:
    for token in (None, "bad"):
        with context.enter(RequestContext(access_token=token)), pytest.raises(Unauthenticated):
            await stub.GetUser(auth_pb2.GetUserRequest())
    with context.enter(RequestContext(access_token="good")):
        await stub.GetUser(auth_pb2.GetUserRequest())
    assert servicer.context.principal == Principal("user", "session", 0.0)
    assert servicer.context.access_token == "good"


@pytest.mark.parametrize("token", ["", "a\tb", "a\x7fb", "a b", "é", "\ud800", "x" * 60_000])
async def test_what_cannot_be_a_token_does_not_travel(stub: Any, token: str) -> None:
    """A call that needs none succeeds, as with a token that has expired; one that does is refused as without any."""
    with context.enter(RequestContext(access_token=token)):
        await stub.SignIn(auth_pb2.SignInRequest())
        with pytest.raises(Unauthenticated):
            await stub.GetUser(auth_pb2.GetUserRequest())


async def test_a_service_call_needs_the_service_token(address: str, stub: Any) -> None:
    with pytest.raises(Unauthenticated):
        await stub.GetJwks(auth_pb2.GetJwksRequest())
    async with open_channel(address, service_token="between services") as channel:
        await auth_pb2_grpc.AuthServiceStub(channel).GetJwks(auth_pb2.GetJwksRequest())


async def test_a_method_that_is_not_listed_is_refused(servicer: Servicer) -> None:
    guard = Guard({}, verify=lambda token: pytest.fail("asked"), service_token="s")
    registration = lambda server: auth_pb2_grpc.add_AuthServiceServicer_to_server(servicer, server)  # noqa: E731
    async with (
        open_server([registration], guard) as server,
        open_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        with pytest.raises(Unauthenticated):
            await auth_pb2_grpc.AuthServiceStub(channel).SignIn(auth_pb2.SignInRequest())


async def test_the_trace_goes_along(servicer: Servicer, stub: Any) -> None:
    with telemetry.span("click") as span:
        await stub.SignIn(auth_pb2.SignInRequest())
    assert servicer.trace_id == span.get_span_context().trace_id


async def test_a_proxy_of_the_environment_is_not_for_calls_between_services(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is for the world outside, knows none of our services, and gRPC would send them all there."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with open_channel(address) as channel:
        await auth_pb2_grpc.AuthServiceStub(channel).SignIn(auth_pb2.SignInRequest())


async def test_nobody_there_is_unavailable() -> None:
    async with open_channel("127.0.0.1:1") as channel:
        with pytest.raises(Unavailable) as caught:
            await auth_pb2_grpc.AuthServiceStub(channel).SignIn(auth_pb2.SignInRequest())
    assert caught.value.retry_after > 0


async def test_a_stream_that_is_not_public_is_not_there() -> None:
    """The guard sees unary calls alone, so that nothing else may pass by it."""
    guard = Guard({"/grpc.health.v1.Health": Access.USER}, verify=lambda token: pytest.fail("asked"), service_token="s")
    async with open_server([], guard) as server, open_channel(f"127.0.0.1:{server.port}") as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watch.read()
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_an_empty_service_token_admits_nobody() -> None:
    guard = Guard({SERVICE: Access.SERVICE}, verify=lambda token: pytest.fail("asked"), service_token="")
    for metadata in ({}, {SERVICE_TOKEN: ""}):
        with pytest.raises(Unauthenticated):
            await guard.admit(f"{SERVICE}/GetJwks", metadata)


async def test_a_port_that_is_taken_stops_the_start(address: str) -> None:
    guard = Guard({}, verify=lambda token: pytest.fail("asked"), service_token="s")
    with pytest.raises(ConfigError, match=f"cannot listen on {address}"):
        async with open_server([], guard, port=int(address.rpartition(":")[2])):
            pass

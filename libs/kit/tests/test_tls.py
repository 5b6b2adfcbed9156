"""Mutual TLS: who can connect, who may call what, and settings that cannot work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc

from parley_kit.context import Principal
from parley_kit.errors import Forbidden, Unauthenticated, Unavailable
from parley_kit.grpc import Access, Guard, open_channel, open_server
from parley_kit.settings import ConfigError
from parley_kit.tls import AUTH, CONVERSATION, GATEWAY, WORKER, Tls, TlsSettings, load_tls
from parley_proto.auth.v1 import auth_pb2
from parley_proto.auth.v1.auth_pb2_grpc import AuthServiceServicer, AuthServiceStub, add_AuthServiceServicer_to_server

SERVICE = "/parley_proto.auth.v1.AuthService"
CALLERS = {SERVICE: {GATEWAY}, f"{SERVICE}/GetJwks": {GATEWAY, CONVERSATION}}


class Servicer(AuthServiceServicer):
    async def GetJwks(self, request: auth_pb2.GetJwksRequest, context: Any) -> auth_pb2.GetJwksResponse:  # noqa: N802
        return auth_pb2.GetJwksResponse()

    async def SignOut(self, request: auth_pb2.SignOutRequest, context: Any) -> auth_pb2.SignOutResponse:  # noqa: N802
        return auth_pb2.SignOutResponse()

    async def GetUser(self, request: auth_pb2.GetUserRequest, context: Any) -> auth_pb2.GetUserResponse:  # noqa: N802
        return auth_pb2.GetUserResponse()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def certify(authority: trustme.CA, folder: Path, name: str, trusted: trustme.CA | None = None) -> TlsSettings:
    """The three files of a service."""
    certificate = authority.issue_cert(name)
    files = {kind: folder / f"{name}.{kind}.pem" for kind in ("cert", "key", "ca")}
    certificate.cert_chain_pems[0].write_to_path(files["cert"])
    certificate.private_key_pem.write_to_path(files["key"])
    (trusted or authority).cert_pem.write_to_path(files["ca"])
    return TlsSettings(tls_cert=files["cert"], tls_key=files["key"], tls_ca=files["ca"])


@pytest.fixture
def tls_of(authority: trustme.CA, tmp_path: Path) -> Any:
    return lambda name: load_tls(certify(authority, tmp_path, name))


@pytest.fixture
async def address(tls_of: Any) -> AsyncIterator[str]:
    async def verify(_token: str) -> Principal:
        raise Unauthenticated("nobody")

    access = {SERVICE: Access.PUBLIC, f"{SERVICE}/GetUser": Access.USER}
    guard = Guard(access, verify, "", CALLERS)
    register = [lambda server: add_AuthServiceServicer_to_server(Servicer(), server)]
    async with open_server(register, guard, tls=tls_of(AUTH)) as server:
        yield f"127.0.0.1:{server.port}"


async def get_jwks(address: str, tls: Tls | None, peer: str = AUTH) -> None:
    async with open_channel(address, tls=tls, peer=peer) as channel:
        await AuthServiceStub(channel).GetJwks(auth_pb2.GetJwksRequest())


async def test_services_that_may_call_a_method_can(address: str, tls_of: Any) -> None:
    await get_jwks(address, tls_of(GATEWAY))
    await get_jwks(address, tls_of(CONVERSATION))


@pytest.mark.parametrize("name", [WORKER, "localhost", f"{GATEWAY}.example.org"])
async def test_another_name_is_refused(address: str, tls_of: Any, name: str) -> None:
    with pytest.raises(Forbidden):
        await get_jwks(address, tls_of(name))


async def test_a_method_s_own_list_is_for_that_method_alone(address: str, tls_of: Any) -> None:
    async with open_channel(address, tls=tls_of(CONVERSATION), peer=AUTH) as channel:
        with pytest.raises(Forbidden):
            await AuthServiceStub(channel).SignOut(auth_pb2.SignOutRequest())


async def test_a_certificate_does_not_stand_for_a_token(address: str, tls_of: Any) -> None:
    async with open_channel(address, tls=tls_of(GATEWAY), peer=AUTH) as channel:
        with pytest.raises(Unauthenticated):
            await AuthServiceStub(channel).GetUser(auth_pb2.GetUserRequest())


async def test_health_is_for_whoever_has_a_certificate(address: str, tls_of: Any) -> None:
    async with open_channel(address, tls=tls_of("probe"), peer=AUTH) as channel:
        reply = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert reply.status == health_pb2.HealthCheckResponse.SERVING


async def test_without_a_certificate_there_is_no_connection(address: str) -> None:
    with pytest.raises(Unavailable):
        await get_jwks(address, None)


async def test_a_certificate_of_another_authority_does_not_count(
    address: str, authority: trustme.CA, tmp_path: Path
) -> None:
    stranger = load_tls(certify(trustme.CA(), tmp_path, GATEWAY, trusted=authority))
    with pytest.raises(Unavailable):
        await get_jwks(address, stranger)


async def test_a_server_under_another_name_is_not_believed(address: str, tls_of: Any) -> None:
    with pytest.raises(Unavailable):
        await get_jwks(address, tls_of(GATEWAY), peer=CONVERSATION)


async def test_a_method_without_a_list_is_refused(tls_of: Any) -> None:
    guard = Guard({SERVICE: Access.PUBLIC}, verify=lambda token: pytest.fail("asked"), service_token="")
    register = [lambda server: add_AuthServiceServicer_to_server(Servicer(), server)]
    async with open_server(register, guard, tls=tls_of(AUTH)) as server:
        with pytest.raises(Forbidden):
            await get_jwks(f"127.0.0.1:{server.port}", tls_of(GATEWAY))


def test_nothing_set_is_no_tls() -> None:
    assert load_tls(TlsSettings()) is None


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"tls_ca": None}, "PARLEY_TLS_CA: not set"),
        ({"tls_cert": None, "tls_ca": None}, "PARLEY_TLS_CA, PARLEY_TLS_CERT: not set"),
        ({"tls_key": Path("/absent.pem")}, "PARLEY_TLS_KEY: cannot read /absent.pem: No such file"),
        ({"tls_ca": Path(__file__)}, "PARLEY_TLS_CA: no certificate in PEM"),
        ({"tls_cert": Path(__file__)}, "PARLEY_TLS_CERT, PARLEY_TLS_KEY: not a certificate and its key"),
    ],
)
def test_files_that_cannot_work_are_named(
    authority: trustme.CA, tmp_path: Path, change: dict[str, Path | None], complaint: str
) -> None:
    settings = certify(authority, tmp_path, AUTH).model_copy(update=change)
    with pytest.raises(ConfigError, match=complaint):
        load_tls(settings)


def test_the_key_of_another_certificate_is_refused(authority: trustme.CA, tmp_path: Path) -> None:
    other = certify(authority, tmp_path, GATEWAY)
    settings = certify(authority, tmp_path, AUTH).model_copy(update={"tls_key": other.tls_key})
    with pytest.raises(ConfigError, match="not a certificate and its key"):
        load_tls(settings)

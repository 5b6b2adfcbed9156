"""The whole service over gRPC, as the gateway and the other services meet it."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from joserfc.jwk import ECKey
from prometheus_client import REGISTRY

from parley_auth.adapters.sqlite import SqliteUsers, open_store
from parley_auth.bootstrap import DATABASE_FILE, open_auth
from parley_auth.settings import AuthSettings
from parley_kit import context
from parley_kit.clock import ManualClock
from parley_kit.context import RequestContext
from parley_kit.errors import BadInput, Conflict, RateLimited, Unauthenticated
from parley_kit.grpc import open_channel
from parley_kit.health import Readiness
from parley_kit.ids import parse_id
from parley_kit.testing.tokens import TokenForge, signing_key
from parley_kit.tokens import TokenVerifier, jwks_from
from parley_live.memory import MemoryLive
from parley_proto.auth.v1 import auth_pb2, auth_pb2_grpc

NAMES = TokenForge(signing_key(), datetime(2026, 1, 1, tzinfo=UTC)).forgeries()
EMAIL, PASSWORD = "ada@example.org", "correct horse"


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
async def address(
    settings: AuthSettings, live: MemoryLive, clock: ManualClock, readiness: Readiness, hasher: PasswordHasher
) -> AsyncIterator[str]:
    async with open_auth(settings, live, clock, readiness, hasher) as service:
        yield service.address


@pytest.fixture
async def stub(address: str) -> AsyncIterator[auth_pb2_grpc.AuthServiceAsyncStub]:
    async with open_channel(address) as channel:
        yield auth_pb2_grpc.AuthServiceStub(channel)


@pytest.fixture
async def verifier(address: str, live: MemoryLive, clock: ManualClock) -> AsyncIterator[TokenVerifier]:
    """As another service has it."""
    async with open_channel(address) as channel:
        yield TokenVerifier(jwks_from(channel), live.is_revoked, clock)


@pytest.fixture
async def session(stub: auth_pb2_grpc.AuthServiceAsyncStub) -> auth_pb2.Session:
    request = auth_pb2.SignUpRequest(email=EMAIL, password=PASSWORD, display_name="Ada", client_address="192.0.2.7")
    return (await stub.SignUp(request)).session


def bearing(token: str) -> AbstractContextManager[RequestContext]:
    return context.enter(RequestContext(access_token=token))


async def get_user(stub: auth_pb2_grpc.AuthServiceAsyncStub, token: str) -> auth_pb2.User:
    with bearing(token):
        return (await stub.GetUser(auth_pb2.GetUserRequest())).user


async def refresh(stub: auth_pb2_grpc.AuthServiceAsyncStub, token: str) -> auth_pb2.Session:
    return (await stub.Refresh(auth_pb2.RefreshRequest(refresh_token=token))).session


async def test_a_session_from_sign_up_to_sign_out(
    stub: auth_pb2_grpc.AuthServiceAsyncStub, session: auth_pb2.Session, verifier: TokenVerifier, clock: ManualClock
) -> None:
    assert session.user.created_at.ToDatetime(UTC) == clock.now()
    assert (session.user.email, session.user.display_name, session.expires_in) == (EMAIL, "Ada", 600)
    assert parse_id(session.user.id) == session.user.id
    assert await get_user(stub, session.access_token) == session.user
    later = await refresh(stub, session.refresh_token)
    principal = await verifier.verify(later.access_token)
    assert (principal.user_id, principal.expires_at) == (session.user.id, clock.now().timestamp() + 600)
    await stub.SignOut(auth_pb2.SignOutRequest(refresh_token=session.refresh_token))
    for token in (session.access_token, later.access_token):
        with pytest.raises(Unauthenticated):
            await get_user(stub, token)
        with pytest.raises(Unauthenticated):
            await verifier.verify(token)
    with pytest.raises(Unauthenticated):
        await refresh(stub, later.refresh_token)


async def test_errors_keep_their_kind(stub: auth_pb2_grpc.AuthServiceAsyncStub, session: auth_pb2.Session) -> None:
    request = auth_pb2.SignUpRequest(email=EMAIL, password=PASSWORD, display_name="Ada")
    with pytest.raises(Conflict):
        await stub.SignUp(request)
    request.display_name = " "
    with pytest.raises(BadInput) as caught:
        await stub.SignUp(request)
    assert caught.value.field == "displayName"


@pytest.mark.parametrize("name", NAMES)
async def test_a_forgery_opens_nothing(
    stub: auth_pb2_grpc.AuthServiceAsyncStub,
    session: auth_pb2.Session,
    verifier: TokenVerifier,
    clock: ManualClock,
    tmp_path: Path,
    name: str,
) -> None:
    """Made with the very key of the service, for a user and a session that exist."""
    key = ECKey.import_key((tmp_path / "keys" / "signing.pem").read_bytes(), {"use": "sig", "alg": "ES256"})
    key.ensure_kid()
    session_id = (await verifier.verify(session.access_token)).session_id
    forge = TokenForge(key, clock.now(), session.user.id, session_id)
    assert await get_user(stub, forge.good()) == session.user
    forgery = forge.forgeries()[name]
    with pytest.raises(Unauthenticated):
        await verifier.verify(forgery)
    if len(forgery) < 8000:  # more does not fit into metadata
        with pytest.raises(Unauthenticated):
            await get_user(stub, forgery)


async def test_a_user_call_without_a_token_is_refused(stub: auth_pb2_grpc.AuthServiceAsyncStub) -> None:
    with pytest.raises(Unauthenticated):
        await stub.GetUser(auth_pb2.GetUserRequest())


async def test_a_token_expires_while_the_session_goes_on(
    stub: auth_pb2_grpc.AuthServiceAsyncStub, session: auth_pb2.Session, clock: ManualClock
) -> None:
    clock.advance(606)
    with pytest.raises(Unauthenticated):
        await get_user(stub, session.access_token)
    later = await refresh(stub, session.refresh_token)
    assert await get_user(stub, later.access_token) == session.user


async def test_a_restart_signs_nobody_out_or_back_in(
    settings: AuthSettings, clock: ManualClock, hasher: PasswordHasher
) -> None:
    sign_up = auth_pb2.SignUpRequest(email=EMAIL, password=PASSWORD, display_name="Ada")
    sign_in = auth_pb2.SignInRequest(email=EMAIL, password=PASSWORD)
    sessions: list[auth_pb2.Session] = []
    for _ in range(2):
        async with (
            open_auth(settings, MemoryLive(clock), clock, Readiness(), hasher) as service,
            open_channel(service.address) as channel,
        ):
            stub = auth_pb2_grpc.AuthServiceStub(channel)
            if not sessions:
                sessions = [(await stub.SignUp(sign_up)).session, (await stub.SignIn(sign_in)).session]
                await stub.SignOut(auth_pb2.SignOutRequest(refresh_token=sessions[0].refresh_token))
            with pytest.raises(Unauthenticated):
                await get_user(stub, sessions[0].access_token)
            assert await get_user(stub, sessions[1].access_token) == sessions[1].user


async def test_a_throttled_caller_is_told_when_to_come_back(
    live: MemoryLive, clock: ManualClock, settings: AuthSettings, hasher: PasswordHasher
) -> None:
    strict = settings.model_copy(update={"auth_sign_ins_per_account": 1})
    async with (
        open_auth(strict, live, clock, Readiness(), hasher) as service,
        open_channel(service.address) as channel,
    ):
        stub = auth_pb2_grpc.AuthServiceStub(channel)
        request = auth_pb2.SignInRequest(email=EMAIL, password=PASSWORD, client_address="192.0.2.7")
        with pytest.raises(Unauthenticated):
            await stub.SignIn(request)
        with pytest.raises(RateLimited) as caught:
            await stub.SignIn(request)
    assert caught.value.retry_after == 60


@pytest.mark.parametrize(("env", "parameters"), [("development", "m=19456,t=2,p=1"), ("production", "m=65536,t=3,p=4")])
async def test_the_cost_of_a_hash_follows_the_environment(
    tmp_path: Path, live: MemoryLive, clock: ManualClock, env: str, parameters: str
) -> None:
    key = signing_key().as_pem(private=True).decode()
    settings = AuthSettings.load(data_dir=tmp_path, env=env, auth_signing_key=key)
    async with (
        open_auth(settings, live, clock, Readiness()) as service,
        open_channel(service.address) as channel,
    ):
        request = auth_pb2.SignUpRequest(email=EMAIL, password=PASSWORD, display_name="Ada")
        await auth_pb2_grpc.AuthServiceStub(channel).SignUp(request)
    async with open_store(tmp_path / DATABASE_FILE) as database:
        account = await SqliteUsers(database).find_account(EMAIL)
    assert account is not None
    assert f"$argon2id$v=19${parameters}$" in account.password_hash


async def test_ready_while_the_store_is(
    settings: AuthSettings, live: MemoryLive, clock: ManualClock, readiness: Readiness, hasher: PasswordHasher
) -> None:
    async with open_auth(settings, live, clock, readiness, hasher):
        assert await readiness.report() == (True, {"auth-store": "ok"})
    ready, parts = await readiness.report()
    assert not ready
    assert "closed" in parts["auth-store"]


async def test_the_key_set_holds_public_keys_alone(stub: auth_pb2_grpc.AuthServiceAsyncStub) -> None:
    (key,) = json.loads((await stub.GetJwks(auth_pb2.GetJwksRequest())).jwks_json)["keys"]
    assert key.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}


async def test_outcomes_are_counted(stub: auth_pb2_grpc.AuthServiceAsyncStub, session: auth_pb2.Session) -> None:
    def count(outcome: str) -> float:
        return REGISTRY.get_sample_value("parley_auth_sign_ins_total", {"outcome": outcome}) or 0.0

    before = count("ok"), count("unauthenticated")
    await stub.SignIn(auth_pb2.SignInRequest(email=EMAIL, password=PASSWORD))
    with pytest.raises(Unauthenticated):
        await stub.SignIn(auth_pb2.SignInRequest(email=EMAIL, password="wrong horse"))
    assert (count("ok"), count("unauthenticated")) == (before[0] + 1, before[1] + 1)


async def test_logs_have_neither_secrets_nor_emails(
    stub: auth_pb2_grpc.AuthServiceAsyncStub,
    session: auth_pb2.Session,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Also when there is something to say: a reused token."""
    caplog.set_level(logging.DEBUG)
    later = await refresh(stub, (await refresh(stub, session.refresh_token)).refresh_token)
    with pytest.raises(Unauthenticated):
        await refresh(stub, session.refresh_token)
    said = caplog.text + "".join(capfd.readouterr())
    assert "refresh_token_reused" in said
    secrets = (EMAIL, PASSWORD, session.refresh_token, session.access_token, later.refresh_token)
    assert not [secret for secret in secrets if secret in said]

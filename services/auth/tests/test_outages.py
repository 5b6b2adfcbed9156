"""The service while its MongoDB is killed, or hangs: what was acknowledged stays, and callers are told in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from argon2 import PasswordHasher
from pydantic import SecretStr

from parley_auth.bootstrap import open_auth
from parley_auth.settings import AuthSettings
from parley_kit import context
from parley_kit.clock import SystemClock
from parley_kit.context import RequestContext
from parley_kit.errors import Unavailable
from parley_kit.grpc import open_channel
from parley_kit.health import Readiness
from parley_live.memory import MemoryLive
from parley_local import servers
from parley_local.ports import Ports
from parley_local.testing import ServerProcess, run_server
from parley_proto.auth.v1 import auth_pb2, auth_pb2_grpc

if TYPE_CHECKING:
    from parley_proto.auth.v1.auth_pb2_grpc import AuthServiceAsyncStub

TOLD_WITHIN_SECONDS = 2.0
PASSWORD = "correct horse"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with run_server(servers.mongodb(tmp_path, Ports()), tmp_path / "mongodb.log") as server:
        yield server


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
async def stub(
    server: ServerProcess, tmp_path: Path, hasher: PasswordHasher, readiness: Readiness
) -> AsyncIterator[AuthServiceAsyncStub]:
    clock = SystemClock()
    settings = AuthSettings(data_dir=tmp_path, mongo_url=SecretStr(server.address), auth_hash_threads=1)
    async with (
        open_auth(settings, MemoryLive(clock), clock, readiness, hasher) as service,
        open_channel(service.address) as channel,
    ):
        yield auth_pb2_grpc.AuthServiceStub(channel)


async def sign_up(stub: AuthServiceAsyncStub, name: str) -> auth_pb2.Session:
    request = auth_pb2.SignUpRequest(email=f"{name}@example.org", password=PASSWORD, display_name=name)
    return (await stub.SignUp(request)).session


async def get_user(stub: AuthServiceAsyncStub, session: auth_pb2.Session) -> auth_pb2.User:
    with context.enter(RequestContext(access_token=session.access_token)):
        return (await stub.GetUser(auth_pb2.GetUserRequest())).user


async def refresh(stub: AuthServiceAsyncStub, session: auth_pb2.Session) -> auth_pb2.Session:
    return (await stub.Refresh(auth_pb2.RefreshRequest(refresh_token=session.refresh_token))).session


async def test_what_was_acknowledged_survives_a_kill(server: ServerProcess, stub: AuthServiceAsyncStub) -> None:
    """Accounts, sessions and rotations, under writes from many clients until the server dies under them."""
    acknowledged: dict[str, auth_pb2.Session] = {}
    unknown: set[str] = set()  # whose rotation had no answer: their token has a few seconds left, or none
    enough = asyncio.Event()

    async def client(number: int) -> None:
        for count in range(10**6):
            name = f"user-{number}-{count}"
            try:
                acknowledged[name] = await sign_up(stub, name)
                unknown.add(name)
                acknowledged[name] = await refresh(stub, acknowledged[name])
                unknown.remove(name)
            except Unavailable:
                return
            if len(acknowledged) >= 40:
                enough.set()

    clients = [asyncio.create_task(client(number)) for number in range(8)]
    await enough.wait()
    await asyncio.to_thread(server.kill)
    await asyncio.gather(*clients)
    await asyncio.to_thread(server.start)
    for name, session in acknowledged.items():
        assert (await get_user(stub, session)).display_name == name
        if name not in unknown:
            assert (await refresh(stub, session)).user.display_name == name


async def test_a_store_that_hangs_is_told_in_time(
    server: ServerProcess, stub: AuthServiceAsyncStub, readiness: Readiness
) -> None:
    """A good token is never called bad for it. All is well again when the store is."""
    session = await sign_up(stub, "ada")
    server.pause()
    for call in (get_user(stub, session), refresh(stub, session), sign_up(stub, "bob")):
        began = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            await call
        assert time.monotonic() - began < TOLD_WITHIN_SECONDS + 0.2  # gRPC's own way there and back, on a busy machine
        assert caught.value.retry_after > 0
    ready, parts = await readiness.report()
    assert not ready
    assert parts["mongodb"] != "ok"
    server.resume()
    await asyncio.to_thread(server.wait_until_ready)
    assert (await get_user(stub, session)).display_name == "ada"
    assert (await readiness.report())[0]

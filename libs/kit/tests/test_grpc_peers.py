"""A peer that is killed, comes back, or hangs: the caller is told within 2 s and finds it again by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from parley_kit.errors import Unavailable
from parley_kit.grpc import open_channel
from parley_proto.auth.v1 import auth_pb2
from parley_proto.auth.v1.auth_pb2_grpc import AuthServiceStub

if TYPE_CHECKING:
    from parley_proto.auth.v1.auth_pb2_grpc import AuthServiceAsyncStub

TOLD_WITHIN_SECONDS = 2.0
FOUND_WITHIN_SECONDS = 2.0
PEER = """
import asyncio, sys
from parley_kit.grpc import Access, Guard, open_server
from parley_proto.auth.v1 import auth_pb2
from parley_proto.auth.v1.auth_pb2_grpc import AuthServiceServicer, add_AuthServiceServicer_to_server

class Servicer(AuthServiceServicer):
    async def GetJwks(self, request, context):
        return auth_pb2.GetJwksResponse()

    async def SignIn(self, request, context):
        await asyncio.sleep(3600)

async def main():
    guard = Guard({"/parley_proto.auth.v1.AuthService": Access.PUBLIC}, None, "")
    register = [lambda server: add_AuthServiceServicer_to_server(Servicer(), server)]
    async with open_server(register, guard, port=int(sys.argv[1])) as server:
        print(server.port, flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""


class Peer:
    """A server in a process of its own."""

    def __init__(self, port: int = 0) -> None:
        command = [sys.executable, "-c", PEER, str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        with self.process:
            pass  # closes its pipe, and waits


@contextmanager
def running(port: int = 0) -> Iterator[Peer]:
    peer = Peer(port)
    try:
        yield peer
    finally:
        peer.kill()


@pytest.fixture
def peer() -> Iterator[Peer]:
    with running() as peer:
        yield peer


@pytest.fixture
async def stub(peer: Peer) -> AsyncIterator[AuthServiceAsyncStub]:
    async with open_channel(f"127.0.0.1:{peer.port}") as channel:
        stub = AuthServiceStub(channel)
        await stub.GetJwks(auth_pb2.GetJwksRequest())
        yield stub


async def test_a_killed_peer_is_told_at_once_and_found_when_it_is_back(peer: Peer, stub: AuthServiceAsyncStub) -> None:
    peer.kill()
    await is_told(stub)
    with running(peer.port):
        await is_found(stub)


async def test_a_peer_that_hangs_is_told_in_time_and_found_when_it_goes_on(
    peer: Peer, stub: AuthServiceAsyncStub
) -> None:
    """Its connection stays open: nobody answers, and nobody says so. A call under way is told as well."""
    under_way = asyncio.ensure_future(sign_in(stub))
    await stub.GetJwks(auth_pb2.GetJwksRequest())
    os.kill(peer.process.pid, signal.SIGSTOP)
    began = time.monotonic()
    await is_told(stub)
    with pytest.raises(Unavailable):
        await under_way
    assert time.monotonic() - began < TOLD_WITHIN_SECONDS
    await is_told(stub)
    os.kill(peer.process.pid, signal.SIGCONT)
    await is_found(stub)


async def sign_in(stub: AuthServiceAsyncStub) -> None:
    await stub.SignIn(auth_pb2.SignInRequest())


async def is_told(stub: AuthServiceAsyncStub) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await stub.GetJwks(auth_pb2.GetJwksRequest())
    assert time.monotonic() - began < TOLD_WITHIN_SECONDS


async def is_found(stub: AuthServiceAsyncStub) -> None:
    async with asyncio.timeout(FOUND_WITHIN_SECONDS):
        while True:
            try:
                await stub.GetJwks(auth_pb2.GetJwksRequest())
                return
            except Unavailable:
                await asyncio.sleep(0.02)

"""A service that starts before its servers waits for them."""

from __future__ import annotations

import asyncio

import pytest

from parley_kit import waiting
from parley_kit.errors import Unavailable
from parley_kit.waiting import until_available


class Server:
    """Comes up at the third call."""

    def __init__(self, comes_up_at: int = 3) -> None:
        self.calls = 0
        self.called_twice = asyncio.Event()
        self._comes_up_at = comes_up_at

    async def connect(self) -> str:
        self.calls += 1
        if self.calls == 2:
            self.called_twice.set()
        if self.calls < self._comes_up_at:
            raise Unavailable("refused")
        return "connected"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LONGEST_PAUSE_SECONDS", 0.01)


async def test_it_tries_until_the_server_is_there() -> None:
    server = Server()
    assert await until_available("mongodb", server.connect) == "connected"
    assert server.calls == 3


async def test_what_is_wrong_with_the_setup_is_not_waited_for() -> None:
    async def work() -> None:
        raise ValueError("bad schema")

    with pytest.raises(ValueError, match="bad schema"):
        await until_available("mongodb", work)


async def test_a_stop_ends_the_wait() -> None:
    server = Server(comes_up_at=10**9)
    task = asyncio.create_task(until_available("mongodb", server.connect))
    await server.called_twice.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

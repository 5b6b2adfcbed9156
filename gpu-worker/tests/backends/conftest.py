"""A chat server for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from parley_worker.testing.chat_server import ChatServer, open_chat_server


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
async def server() -> AsyncIterator[ChatServer]:
    async with open_chat_server(interval=0.001) as opened:
        yield opened

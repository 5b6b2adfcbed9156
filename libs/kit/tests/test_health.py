"""What probes are told, and how a process ends."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest
from starlette.applications import Starlette

from parley_kit import health
from parley_kit.errors import Unavailable
from parley_kit.health import Readiness, health_routes
from parley_kit.http import bind, serve_http
from parley_kit.settings import ConfigError


async def well() -> None:
    pass


async def away() -> None:
    raise Unavailable("auth is not reachable")


async def test_ready_means_that_every_part_is_there() -> None:
    readiness = Readiness()
    readiness.add("store", well)
    assert await readiness.report() == (True, {"store": "ok"})
    readiness.add("auth", away)
    assert await readiness.report() == (False, {"store": "ok", "auth": "auth is not reachable"})


async def test_a_check_that_hangs_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_TIMEOUT", 0.01)
    readiness = Readiness()
    readiness.add("store", asyncio.Event().wait)  # type: ignore[arg-type] # never returns
    ready, parts = await readiness.report()
    assert not ready
    assert parts == {"store": "no answer within 0.01 s"}


async def test_draining_is_not_ready() -> None:
    readiness = Readiness()
    readiness.drain()
    assert (await readiness.report())[0] is False


async def test_the_three_routes_over_http() -> None:
    readiness = Readiness()
    app = Starlette(routes=health_routes(readiness))
    async with serve_http(app, bind("127.0.0.1", 0)) as port, httpx.AsyncClient() as client:
        base = f"http://127.0.0.1:{port}"
        assert (await client.get(f"{base}/livez")).text == "ok"
        assert (await client.get(f"{base}/readyz")).status_code == 200
        assert "python_info" in (await client.get(f"{base}/metrics")).text
        readiness.add("auth", away)
        answer = await client.get(f"{base}/readyz")
        assert (answer.status_code, answer.json()["parts"]) == (503, {"auth": "auth is not reachable"})
        assert (await client.get(f"{base}/livez")).status_code == 200


def test_a_taken_port_is_one_readable_line() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}"):
            bind("127.0.0.1", port)

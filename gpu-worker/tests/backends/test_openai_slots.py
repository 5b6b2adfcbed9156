"""Places on the server, and whether it is there."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from parley_kit.errors import Unavailable
from parley_worker.testing.backends import words
from parley_worker.testing.chat_server import MODEL, ChatServer, Reply, chunk, error
from parley_worker.testing.openai import collect, job, open_backend, text_of


async def test_closing_an_answer_closes_its_connection_at_once(server: ChatServer) -> None:
    server.replies.append(Reply([chunk("a")], hang=True))
    async with open_backend(server) as backend:
        async with aclosing(backend.generate(job())) as chunks:
            await anext(chunks)
            assert server.running == 1
        await server.changed.until(lambda: server.running == 0)


async def test_a_job_that_is_cancelled_before_the_first_token_leaves_the_server(server: ChatServer) -> None:
    server.replies.append(Reply(silent=True))
    async with open_backend(server) as backend:
        task = asyncio.create_task(collect(backend, job()))
        await server.changed.until(lambda: server.running == 1)
        task.cancel()
        await server.changed.until(lambda: server.running == 0)
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_no_more_than_its_capacity_is_asked_for_at_once(server: ChatServer) -> None:
    server.replies += [Reply([chunk("a")], hang=True)] * 3
    async with open_backend(server) as backend:
        held = [asyncio.create_task(collect(backend, job())) for _ in range(3)]
        await server.changed.until(lambda: server.running == 3)
        waiting = asyncio.create_task(collect(backend, job(max_tokens=1)))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await server.changed.until(lambda: len(server.asked) > 3)
        held[0].cancel()
        assert text_of(await waiting) == words(0, 1)
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)


async def test_connections_are_used_again(server: ChatServer) -> None:
    async with open_backend(server) as backend:
        for _ in range(5):
            await collect(backend, job(max_tokens=2))
    assert server.connections == 1


async def test_a_server_that_was_away_is_found_again(server: ChatServer) -> None:
    server.replies.append(Reply([chunk("a")], cut=True))
    server.models = [{"id": MODEL, "max_model_len": 100}]
    async with open_backend(server) as backend:
        server.models = error(503, "loading")
        with pytest.raises(Unavailable):
            await collect(backend, job())
        assert not backend.ready
        asked = server.listed
        await server.changed.until(lambda: server.listed >= asked + 2)
        assert not backend.ready
        server.models = [{"id": MODEL}]
        async with asyncio.timeout(5):
            while not backend.ready:  # noqa: ASYNC110 - as the consumer looks at it
                await asyncio.sleep(0.01)
        assert text_of(await collect(backend, job(max_tokens=2))) == words(0, 2)


async def test_a_busy_server_is_not_away(server: ChatServer) -> None:
    server.replies.append(error(429, "busy"))
    async with open_backend(server, patience_seconds=0.0) as backend:
        with pytest.raises(Unavailable):
            await collect(backend, job())
        assert backend.ready

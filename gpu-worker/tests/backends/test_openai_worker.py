"""A whole worker whose model is somebody else's server: streaming, takeover, stop, failures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from parley_kit.clock import SystemClock
from parley_proto.events.v1.events_pb2 import GenerationCancelled, GenerationCompleted, GenerationFailed
from parley_worker.backends.openai.config import OpenAiConfig
from parley_worker.backends.openai.dialects import Dialect
from parley_worker.backends.openai.opening import open_openai_backend
from parley_worker.testing.backends import words
from parley_worker.testing.chat_server import ChatServer, Reply, answer, error, open_chat_server
from parley_worker.testing.platform import Platform, open_platform
from parley_worker.testing.streams import joined

TOKENS = 30
CONFIG = OpenAiConfig("", name="counter", patience_seconds=5.0)


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    async with open_platform(SystemClock(), "counter") as opened:
        yield opened


@asynccontextmanager
async def worker(platform: Platform, server: ChatServer, dialect: Dialect = Dialect.VLLM) -> AsyncIterator[None]:
    config = replace(CONFIG, url=server.url, dialect=dialect)
    async with open_openai_backend(config, SystemClock()) as backend, platform.worker(backend):
        yield


def first(tokens: int) -> list[bytes]:
    return answer(*(words(index, index + 1) for index in range(tokens)))[: 1 + tokens]


async def test_an_answer_is_streamed_and_counted(platform: Platform, server: ChatServer) -> None:
    async with worker(platform, server):
        generation_id = await platform.ask(max_tokens=TOKENS)
        event = await platform.end()
    assert isinstance(event, GenerationCompleted)
    assert event.text == joined(await platform.deltas(generation_id)) == words(0, TOKENS)
    assert (event.usage.prompt_tokens, event.usage.completion_tokens) == (7, TOKENS)


@pytest.mark.parametrize(("dialect", "began"), [(Dialect.VLLM, 1), (Dialect.OLLAMA, 1), (Dialect.OPENAI, 2)])
async def test_an_answer_that_is_cut_off_goes_on_or_honestly_begins_again(
    platform: Platform, server: ChatServer, dialect: Dialect, began: int
) -> None:
    server.replies.append(Reply(first(10), cut=True))
    async with worker(platform, server, dialect):
        generation_id = await platform.ask()
        event = await platform.end()
    assert isinstance(event, GenerationCompleted)
    assert (event.attempt, event.began_attempt) == (2, began)
    whole = words(0, 26) if began == 1 else words(0, 16)
    assert event.text == joined([d for d in await platform.deltas(generation_id) if d.began == began]) == whole
    assert platform.owner.shut_down == []


async def test_a_worker_that_closes_leaves_its_answer_to_the_next(platform: Platform, server: ChatServer) -> None:
    server.replies.append(Reply(first(10), hang=True))
    async with worker(platform, server):
        generation_id = await platform.ask()
        await platform.text_reaches(generation_id, len(words(0, 10)))
    await server.changed.until(lambda: server.running == 0)
    async with worker(platform, server):
        event = await platform.end()
    assert (event.text, event.attempt, event.began_attempt) == (words(0, 26), 2, 1)


async def test_a_stop_frees_the_place_on_the_server(platform: Platform, server: ChatServer) -> None:
    server.replies.append(Reply(first(10), hang=True))
    async with worker(platform, server):
        generation_id = await platform.ask()
        await platform.text_reaches(generation_id, len(words(0, 10)))
        await platform.live.cancel(generation_id)
        event = await platform.end()
        await server.changed.until(lambda: server.running == 0)
    assert isinstance(event, GenerationCancelled)
    assert event.text == words(0, 10)


@pytest.mark.parametrize(
    ("reply", "failed"),
    [(error(400, "no"), {"code": "BAD_INPUT"}), (Reply(answer("a", finish="content_filter")), {"code": "BAD_INPUT"})],
)
async def test_what_the_server_refuses_fails_the_answer(
    platform: Platform, server: ChatServer, reply: Reply, failed: dict[str, Any]
) -> None:
    server.replies.append(reply)
    async with worker(platform, server):
        await platform.ask()
        event = await platform.end()
    assert isinstance(event, GenerationFailed)
    assert event.failure.code == failed["code"]


async def test_an_answer_goes_on_when_its_server_has_restarted(platform: Platform) -> None:
    async with AsyncExitStack() as stack:
        async with open_chat_server() as server:
            server.replies.append(Reply(first(10), hang=True))
            await stack.enter_async_context(worker(platform, server))
            generation_id = await platform.ask()
            await platform.text_reaches(generation_id, len(words(0, 10)))
        await platform.owner.called.until(lambda: bool(platform.owner.released))
        async with open_chat_server(port=int(server.url.split(":")[2].removesuffix("/v1"))):
            event = await platform.end()
    assert isinstance(event, GenerationCompleted)
    assert (event.text, event.attempt, event.began_attempt) == (words(0, 26), 2, 1)

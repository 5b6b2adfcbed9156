"""The platform whose model is another server that speaks OpenAI's protocol."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from support.graphql import events, open_http, text_of
from support.people import STOP, Person, scripted, sign_up
from support.platform import START_SECONDS, free_port, start_platform

from parley_worker.testing.chat_server import MODEL, ChatServer, Reply, answer, open_chat_server

BEGINNING = answer(*(f"w{index} " for index in range(10)))[:11]


@pytest.fixture
async def server() -> AsyncIterator[ChatServer]:
    async with open_chat_server(interval=0.005) as opened:
        yield opened


@asynccontextmanager
async def user_of(server: ChatServer, tmp_path: Path, dialect: str) -> AsyncIterator[Person]:
    """Of a platform on that server. It starts in a thread: the server answers it from here."""
    settings = {
        "PARLEY_WORKER_BACKEND": "openai",
        "PARLEY_OPENAI_URL": server.url,
        "PARLEY_OPENAI_DIALECT": dialect,
        "NO_PROXY": "127.0.0.1",
    }
    async with AsyncExitStack() as stack:
        starting = start_platform(tmp_path / "data", settings=settings)
        platform = await asyncio.to_thread(starting.__enter__)
        stack.callback(starting.__exit__, None, None, None)
        yield await sign_up(await stack.enter_async_context(open_http(platform.url)))
        assert "HTTP Request" not in platform.tail(), "the log has a line for each request to the server"


async def test_a_conversation_on_another_server(server: ChatServer, tmp_path: Path) -> None:
    async with user_of(server, tmp_path, "vllm") as ada:
        conversation = await ada.create()
        sent, text = await ada.ask(conversation, "Go", parameters={"maxTokens": 20, "topK": 5})
        assert text == scripted(20)
        generation = await ada.generation(sent["generation"]["id"])
        assert (generation["state"], generation["finishReason"]) == ("COMPLETED", "LENGTH")
        assert (generation["usage"]["promptTokens"], generation["usage"]["completionTokens"]) == (7, 20)
        await ada.ask(conversation, "On", parameters={"maxTokens": 3})
        asked = server.asked[-1].body
        assert asked["model"] == MODEL
        assert [message["content"] for message in asked["messages"]][-3:] == ["Go", text, "On"]
        await a_cut_off_answer_goes_on(server, ada)
        await a_stop_reaches_the_server(server, ada)
        async with httpx.AsyncClient(timeout=5) as scraper:
            metrics = (await scraper.get(f"{ada.http.url}/metrics")).text
        assert 'parley_worker_takeovers_total{kind="resumed",model="Counter-1"} 1.0' in metrics


async def a_cut_off_answer_goes_on(server: ChatServer, ada: Person) -> None:
    server.replies.append(Reply(BEGINNING, cut=True))
    sent = await ada.send(await ada.create(), "Go")
    seen = [event async for event in events("ws", ada.http.url, ada.token, sent["generation"]["id"])]
    assert text_of(seen) == scripted(26)
    assert "GenerationRestarted" not in {event["__typename"] for event in seen}


async def a_stop_reaches_the_server(server: ChatServer, ada: Person) -> None:
    server.replies.append(Reply(BEGINNING, hang=True))
    sent = await ada.send(await ada.create(), "Go")
    generation_id = sent["generation"]["id"]
    async for event in events("sse", ada.http.url, ada.token, generation_id):
        if event["__typename"] == "TokenDelta" and "w9" in event["text"]:
            await ada.data(STOP, id=generation_id)
    assert event["finishReason"] == "CANCELLED"
    await server.changed.until(lambda: server.running == 0)


async def test_a_reader_is_told_when_the_server_cannot_go_on(server: ChatServer, tmp_path: Path) -> None:
    async with user_of(server, tmp_path, "openai") as ada:
        read = asyncio.Event()  # whoever comes after the restart is not told of it
        server.replies.append(Reply(BEGINNING, cut=True, until=read))
        sent = await ada.send(await ada.create(), "Go")
        seen = []
        async for event in events("ws", ada.http.url, ada.token, sent["generation"]["id"]):
            seen.append(event)
            read.set()
        kinds = [event["__typename"] for event in seen]
        again = kinds.index("GenerationRestarted")
        assert text_of(seen[again + 1 :]) == scripted(16)
        assert kinds.count("GenerationRestarted") == 1


def test_the_platform_waits_for_the_server_and_ends_when_told(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    settings = {"PARLEY_WORKER_BACKEND": "openai", "PARLEY_OPENAI_URL": url, "NO_PROXY": "127.0.0.1"}
    with start_platform(tmp_path / "data", settings=settings, ready=False) as platform:
        deadline = time.monotonic() + START_SECONDS
        while "waiting_for_model_server" not in platform.tail():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert platform.stop() == 0

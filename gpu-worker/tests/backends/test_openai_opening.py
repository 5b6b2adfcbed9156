"""What a worker on another server's model learns at its start, and what refuses to start."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from parley_kit.clock import SystemClock
from parley_kit.settings import ConfigError
from parley_worker.bootstrap import open_backend
from parley_worker.core import ModelInfo
from parley_worker.settings import WorkerSettings
from parley_worker.testing.chat_server import JSON, MODEL, ChatServer, Reply, error, open_chat_server


def settings(server: ChatServer, **values: object) -> WorkerSettings:
    peers = {"conversation_address": "127.0.0.1:1", "service_token": "between services"}
    return WorkerSettings.load(**{**peers, "worker_backend": "openai", "openai_url": server.url, **values})


async def model_of(server: ChatServer, **values: object) -> ModelInfo:
    async with open_backend(settings(server, **values), SystemClock()) as backend:
        assert backend.ready
        return backend.model


async def test_the_server_tells_its_model_and_its_window(server: ChatServer) -> None:
    assert await model_of(server) == ModelInfo("Counter-1", 4096, 32)


async def test_settings_have_the_last_word(server: ChatServer) -> None:
    told = {"openai_model": MODEL, "worker_model_name": "mine", "openai_context_length": 99, "worker_capacity": 2}
    assert await model_of(server, **told) == ModelInfo("mine", 99, 2)


@pytest.mark.parametrize(
    ("listed", "asked", "info"),
    [
        ({"id": "llama3.2:latest", "max_model_len": 9}, "llama3.2", ModelInfo("llama3.2", 9, 32)),
        ({"id": "m.gguf", "meta": {"n_ctx": 512, "n_ctx_train": 4096}}, None, ModelInfo("m.gguf", 512, 32)),
    ],
)
async def test_each_server_lists_in_its_own_way(
    server: ChatServer, listed: dict[str, Any], asked: str | None, info: ModelInfo
) -> None:
    server.models = [listed]
    assert await model_of(server, openai_model=asked) == info


async def test_a_server_without_a_list_is_believed(server: ChatServer) -> None:
    server.models = error(404, "not found")
    assert (await model_of(server, openai_model="a", openai_context_length=50)).context_length == 50


async def test_a_proxy_of_the_environment_is_not_asked_for_a_server_on_this_machine(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with asyncio.timeout(10):
        assert (await model_of(server)).context_length == 4096


async def test_an_address_without_a_path_means_v1(server: ChatServer) -> None:
    assert (await model_of(server, openai_url=server.url.removesuffix("/v1"))).name == "Counter-1"


@pytest.mark.parametrize(
    ("models", "values", "reason"),
    [
        ([{"id": "a"}, {"id": "b"}], {}, "PARLEY_OPENAI_MODEL: name one; the server lists a, b"),
        ([], {}, "PARLEY_OPENAI_MODEL: name one; the server lists nothing"),
        ([{"id": "a"}], {"openai_model": "c"}, "PARLEY_OPENAI_MODEL: c is not served; the server lists a"),
        ([{"id": "a"}], {}, "PARLEY_OPENAI_CONTEXT_LENGTH"),
        (error(401, "bad key"), {}, "PARLEY_OPENAI_API_KEY: .*bad key"),
        (error(400, "what?"), {}, "PARLEY_OPENAI_URL: .*what"),
        (Reply([b"<html>"], headers=JSON), {}, "PARLEY_OPENAI_URL"),
        ([], {"openai_url": None}, "PARLEY_OPENAI_URL: the openai backend needs"),
    ],
)
async def test_a_server_that_is_not_as_the_settings_say_stops_the_start(
    server: ChatServer, models: Any, values: dict[str, Any], reason: str
) -> None:
    server.models = models
    with pytest.raises(ConfigError, match=reason) as caught:
        await model_of(server, **values)
    assert "\n" not in str(caught.value)


async def test_an_address_that_is_none_is_named(server: ChatServer) -> None:
    with pytest.raises(ConfigError, match="PARLEY_OPENAI_URL"):
        await model_of(server, openai_url="http://host:port/v1")


@pytest.mark.parametrize(
    "values",
    [{"openai_url": "localhost:8000"}, {"openai_url": "http://user:password@host/v1"}, {"openai_dialect": "tgi"}],
)
def test_a_bad_setting_is_named(server: ChatServer, values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"PARLEY_{next(iter(values)).upper()}"):
        settings(server, **values)


async def test_the_start_waits_for_the_server() -> None:
    async with open_chat_server() as gone:
        url = gone.url
    opening = asyncio.create_task(model_of(gone))
    done, _ = await asyncio.wait({opening}, timeout=0.5)
    assert not done
    async with open_chat_server(port=int(url.removesuffix("/v1").rpartition(":")[2])) as server:
        server.models = Reply([b"Loading model"], 503, {})
        done, _ = await asyncio.wait({opening}, timeout=0.5)
        assert not done
        server.models = [{"id": "m", "max_model_len": 64}]
        assert (await opening).name == "m"

"""A worker from its settings: what it serves, and what refuses to start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from parley_kit.clock import SystemClock
from parley_kit.health import Readiness
from parley_kit.settings import ConfigError
from parley_worker.bootstrap import open_backend, open_worker
from parley_worker.settings import WorkerSettings
from parley_worker.testing.backends import words
from parley_worker.testing.platform import TOKEN, Platform

PEER = {"conversation_address": "127.0.0.1:1", "service_token": TOKEN}


def settings(**values: object) -> WorkerSettings:
    return WorkerSettings.load(**{**PEER, "worker_backend": "scripted", "scripted_interval_ms": 1, **values})


async def test_a_scripted_worker_answers_and_is_ready(platform: Platform) -> None:
    readiness = Readiness()
    asked = settings(conversation_address=platform.address)
    async with open_worker(asked, platform.bus, platform.live, SystemClock(), readiness) as worker:
        assert (worker.model.name, worker.model.capacity) == ("scripted", 256)
        await platform.ask(max_tokens=2)
        assert (await platform.end()).text == words(0, 2)
        assert await readiness.report() == (True, {"worker": "ok"})
    (beat, *_) = platform.owner.heartbeats
    assert (beat.model, beat.context_length, beat.capacity) == ("scripted", worker.model.context_length, 256)


async def test_sixty_four_answers_at_once(platform: Platform) -> None:
    asked = settings(conversation_address=platform.address)
    async with open_worker(asked, platform.bus, platform.live, SystemClock(), Readiness()):
        generation_ids = {await platform.ask(max_tokens=20) for _ in range(64)}
        assert {(await platform.end()).generation_id for _ in generation_ids} == generation_ids


async def test_a_worker_whose_owner_does_not_answer_is_not_ready(platform: Platform) -> None:
    readiness = Readiness()
    asked = settings(conversation_address=platform.address, service_token="wrong")
    async with open_worker(asked, platform.bus, platform.live, SystemClock(), readiness):
        ready, parts = await readiness.report()
    assert not ready
    assert "heartbeats" in parts["worker"]


def test_the_model_is_named_after_its_folder_or_as_told(tmp_path: Path) -> None:
    assert settings(worker_backend="torch").model_name == "parley-small"
    assert settings(worker_backend="torch", worker_model=tmp_path / "tiny").model_name == "tiny"
    assert settings(worker_backend="torch", worker_model_name="mine").model_name == "mine"
    assert settings().model_name == "scripted"


@pytest.mark.parametrize(
    ("values", "variable"),
    [
        ({"worker_backend": "vllm"}, "PARLEY_WORKER_BACKEND"),
        ({"worker_capacity": 0}, "PARLEY_WORKER_CAPACITY"),
        ({"worker_dtype": "float8"}, "PARLEY_WORKER_DTYPE"),
        ({"worker_model_name": "a/b"}, "PARLEY_WORKER_MODEL_NAME"),
        ({"scripted_interval_ms": -1}, "PARLEY_SCRIPTED_INTERVAL_MS"),
    ],
)
def test_a_bad_setting_is_named(values: dict[str, object], variable: str) -> None:
    with pytest.raises(ConfigError, match=variable):
        settings(**values)


@pytest.mark.parametrize("config", [None, "{", json.dumps({"architectures": ["Unheard"]})])
async def test_a_broken_model_folder_is_one_line(tmp_path: Path, config: str | None) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(ConfigError, match=r"PARLEY_WORKER_MODEL: .*config\.json") as caught:
        async with open_backend(settings(worker_backend="torch", worker_model=tmp_path), SystemClock()):
            pytest.fail("opened")
    assert "\n" not in str(caught.value)


async def test_too_little_memory_names_its_own_variable() -> None:
    with pytest.raises(ConfigError, match="PARLEY_WORKER_KV_BYTES: 5 bytes do not hold"):
        async with open_backend(settings(worker_backend="torch", worker_kv_bytes=5), SystemClock()):
            pytest.fail("opened")


def test_torch_is_never_imported_into_this_process() -> None:
    """Only the engine's own process pays for it."""
    script = "import sys, parley_worker.bootstrap, parley_worker.backends.torch; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0

"""`python -m parley_worker`: what operators and supervisors rely on."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from parley_kit.ids import new_id
from parley_kit.testing.process import start_service

MODULE = "parley_worker"
ENDS_WITHIN_SECONDS = 5.0


@pytest.fixture
def environment(tmp_path: Path, redis_url: str, kafka: str) -> dict[str, str]:
    """The conversation service is not there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{probe.getsockname()[1]}"
    return {
        "PARLEY_DATA_DIR": str(tmp_path),
        "PARLEY_REDIS_URLS": redis_url,
        "PARLEY_KAFKA_SERVERS": kafka,
        "PARLEY_CONVERSATION_ADDRESS": nobody,
        "PARLEY_SERVICE_TOKEN": "between services",
        "PARLEY_WORKER_BACKEND": "scripted",
        "PARLEY_WORKER_MODEL_NAME": f"scripted-{new_id()}",
    }


def test_it_runs_without_the_conversation_service_and_says_so(environment: dict[str, str]) -> None:
    with start_service(MODULE, environment) as service:
        probes = service.event("health_served")["address"]
        assert service.event("serving")["model"] == environment["PARLEY_WORKER_MODEL_NAME"]
        status, body = service.probe(probes)
        assert status == 503
        assert body["parts"].pop("worker") == "the conversation service does not answer heartbeats"
        assert body["parts"].keys() == {"start", "redis", "kafka"}
        code, seconds = service.end()
        assert code == 0, service.output
        assert seconds < ENDS_WITHIN_SECONDS


def test_variables_that_are_missing_are_one_line(environment: dict[str, str]) -> None:
    missing = {"PARLEY_CONVERSATION_ADDRESS", "PARLEY_SERVICE_TOKEN", "PARLEY_KAFKA_SERVERS"}
    given = {name: value for name, value in environment.items() if name not in missing}
    with start_service(MODULE, given) as service:
        assert service.wait() == 2
        (line,) = service.lines
    assert set(line.removeprefix("parley: ").strip().split("; ")) == {f"{name}: Field required" for name in missing}

"""`python -m parley_conversation`: what operators and supervisors rely on."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley_kit.testing.process import start_service

MODULE = "parley_conversation"
ENDS_WITHIN_SECONDS = 5.0


@pytest.fixture
def environment(tmp_path: Path, redis_url: str, kafka: str) -> dict[str, str]:
    return {
        "PARLEY_DATA_DIR": str(tmp_path),
        "PARLEY_REDIS_URLS": redis_url,
        "PARLEY_KAFKA_SERVERS": kafka,
        "PARLEY_SERVICE_TOKEN": "between services",
    }


def test_it_serves_until_it_is_told_to_stop(environment: dict[str, str]) -> None:
    with start_service(MODULE, environment) as service:
        probes = service.event("health_served")["address"]
        service.event("serving")
        parts = service.until_ready(probes)
        assert parts.keys() >= {"start", "redis", "kafka"}
        code, seconds = service.end()
        assert code == 0, service.output
        assert seconds < ENDS_WITHIN_SECONDS


def test_variables_that_are_missing_are_one_line(environment: dict[str, str]) -> None:
    missing = {"PARLEY_SERVICE_TOKEN", "PARLEY_KAFKA_SERVERS"}
    given = {name: value for name, value in environment.items() if name not in missing}
    with start_service(MODULE, given) as service:
        assert service.wait() == 2
        (line,) = service.lines
    assert set(line.removeprefix("parley: ").strip().split("; ")) == {f"{name}: Field required" for name in missing}

"""`python -m parley_auth`: what operators and supervisors rely on."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from parley_kit.ids import new_id
from parley_kit.testing.process import start_service

MODULE = "parley_auth"
ENDS_WITHIN_SECONDS = 5.0


@pytest.fixture
def environment(tmp_path: Path, redis_url: str) -> dict[str, str]:
    return {"PARLEY_DATA_DIR": str(tmp_path), "PARLEY_REDIS_URLS": redis_url}


@pytest.fixture
def nobody() -> str:
    """host:port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_it_serves_until_it_is_told_to_stop(environment: dict[str, str], mongo_url: str) -> None:
    stores = {"PARLEY_MONGO_URL": mongo_url, "PARLEY_AUTH_DATABASE": f"auth-{new_id()}"}
    with start_service(MODULE, {**environment, **stores}) as service:
        probes = service.event("health_served")["address"]
        host, _, port = service.event("serving")["address"].rpartition(":")
        assert service.until_ready(probes) == {"start": "ok", "redis": "ok", "mongodb": "ok"}
        socket.create_connection((host, int(port)), timeout=5).close()
        assert service.probe(probes, "/livez") == (200, "ok")
        assert "parley_auth_sign_ins" in service.probe(probes, "/metrics")[1]
        code, seconds = service.end()
        assert code == 0, service.output
        assert seconds < ENDS_WITHIN_SECONDS


def test_while_its_store_is_away_it_waits_and_says_for_what(environment: dict[str, str], nobody: str) -> None:
    """And a stop ends the wait."""
    with start_service(MODULE, {**environment, "PARLEY_MONGO_URL": f"mongodb://{nobody}"}) as service:
        probes = service.event("health_served")["address"]
        assert service.event("waiting_for_server")["server"] == "mongodb"
        status, body = service.probe(probes)
        assert status == 503
        assert body["parts"]["redis"] == "ok"
        assert body["parts"]["mongodb"] != "ok"
        assert service.probe(probes, "/livez")[0] == 200
        code, seconds = service.end()
        assert code == 0, service.output
        assert seconds < ENDS_WITHIN_SECONDS


def test_without_redis_it_runs_and_is_not_ready(environment: dict[str, str], nobody: str) -> None:
    with start_service(MODULE, {**environment, "PARLEY_REDIS_URLS": f"redis://{nobody}/0"}) as service:
        probes = service.event("health_served")["address"]
        service.event("serving")
        status, body = service.probe(probes)
        assert status == 503
        assert "Redis" in body["parts"].pop("redis")
        assert set(body["parts"].values()) == {"ok"}
        assert service.end()[0] == 0


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"PARLEY_ENV": "production"}, "PARLEY_AUTH_SIGNING_KEY: production needs a P-256 private key in PEM"),
        ({"PARLEY_TLS_CERT": "/absent"}, "PARLEY_TLS_CA, PARLEY_TLS_KEY: not set"),
    ],
)
def test_what_cannot_work_is_one_line(environment: dict[str, str], variables: dict[str, str], complaint: str) -> None:
    with start_service(MODULE, {**environment, **variables}) as service:
        assert service.wait() == 2
        assert [line for line in service.lines if not line.startswith("{")] == [service.lines[-1]]
        assert service.lines[-1].startswith(f"parley: {complaint}")

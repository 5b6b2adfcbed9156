"""`python -m parley_gateway`: what operators and supervisors rely on."""

from __future__ import annotations

import socket

import pytest

from parley_kit.testing.process import start_service

MODULE = "parley_gateway"
ENDS_WITHIN_SECONDS = 5.0


@pytest.fixture
def environment(redis_url: str) -> dict[str, str]:
    """Its services are not there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{probe.getsockname()[1]}"
    return {
        "PARLEY_REDIS_URLS": redis_url,
        "PARLEY_GATEWAY_PORT": "0",
        "PARLEY_AUTH_ADDRESS": nobody,
        "PARLEY_CONVERSATION_ADDRESS": nobody,
    }


def test_it_runs_without_its_services_and_says_which_are_missing(environment: dict[str, str]) -> None:
    with start_service(MODULE, environment) as service:
        address = service.event("serving")["address"]
        status, body = service.probe(address)
        away = "a service that this needs is not reachable"
        assert (status, body["parts"]) == (503, {"redis": "ok", "auth": away, "conversation": away, "model": away})
        assert service.probe(address, "/livez") == (200, "ok")
        code, seconds = service.end()
        assert code == 0, service.output
        assert seconds < ENDS_WITHIN_SECONDS


def test_variables_that_are_missing_are_one_line(environment: dict[str, str]) -> None:
    missing = {"PARLEY_AUTH_ADDRESS", "PARLEY_CONVERSATION_ADDRESS"}
    given = {name: value for name, value in environment.items() if name not in missing}
    with start_service(MODULE, given) as service:
        assert service.wait() == 2
        (line,) = service.lines
    assert set(line.removeprefix("parley: ").strip().split("; ")) == {f"{name}: Field required" for name in missing}

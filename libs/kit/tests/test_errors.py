"""One code, one meaning, on every way out."""

from __future__ import annotations

import json

import pytest

from parley_kit import graphql, http
from parley_kit.errors import PUBLIC_ERRORS, BadInput, Internal, ParleyError, RateLimited, Retryable, rebuild

CODES = {
    "BAD_INPUT": 400,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "CONFLICT": 409,
    "RATE_LIMITED": 429,
    "OVERLOADED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    "INTERNAL": 500,
}


def test_the_codes_are_those_that_clients_know() -> None:
    assert {kind.code for kind in PUBLIC_ERRORS} == CODES.keys()


@pytest.mark.parametrize("kind", PUBLIC_ERRORS, ids=lambda kind: kind.code)
def test_every_error_has_its_http_status(kind: type[ParleyError]) -> None:
    response = http.to_response(kind("what went wrong"))
    assert response.status_code == CODES[kind.code]
    assert json.loads(response.body)["error"]["code"] == kind.code
    assert ("retry-after" in response.headers) == issubclass(kind, Retryable)


@pytest.mark.parametrize("kind", PUBLIC_ERRORS, ids=lambda kind: kind.code)
def test_every_error_has_its_graphql_extensions(kind: type[ParleyError]) -> None:
    _, extensions = graphql.to_extensions(kind("what went wrong"), "request-1")
    assert extensions["code"] == kind.code
    assert ("retryAfter" in extensions) == issubclass(kind, Retryable)


def test_a_bug_shows_nothing_but_its_request_id() -> None:
    message, extensions = graphql.to_extensions(Internal("secret detail"), "request-1")
    assert "secret" not in message
    assert extensions == {"code": "INTERNAL", "requestId": "request-1"}
    assert b"secret" not in http.to_response(Internal("secret detail")).body


def test_a_retry_header_is_whole_seconds_and_never_zero() -> None:
    assert http.to_response(RateLimited("slow down", 0.2)).headers["retry-after"] == "1"
    assert http.to_response(RateLimited("slow down", 7.6)).headers["retry-after"] == "8"


@pytest.mark.parametrize("kind", PUBLIC_ERRORS, ids=lambda kind: kind.code)
def test_an_error_is_rebuilt_from_its_code(kind: type[ParleyError]) -> None:
    assert type(rebuild(kind.code, "message", retry_after=3.0)) is kind


def test_an_unknown_code_is_a_bug() -> None:
    assert type(rebuild("NO_SUCH_CODE", "message")) is Internal


def test_the_field_at_fault_is_named() -> None:
    assert graphql.to_extensions(BadInput("too long", "title"), "r")[1]["field"] == "title"

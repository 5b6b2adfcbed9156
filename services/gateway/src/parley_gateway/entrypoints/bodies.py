"""GraphQL parameters out of HTTP requests, by the rules of GraphQL over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from starlette.requests import ClientDisconnect, Request

from parley_gateway.entrypoints.graphql.errors import RequestRejected
from parley_gateway.entrypoints.graphql.parameters import MAX_BODY_BYTES, Parameters, parse_json, to_parameters
from parley_kit.errors import DeadlineExceeded, Forbidden

BODY_SECONDS = 20.0
DISCARD_SECONDS = 1.0
"""How long a body that is too large is read and thrown away before the answer, so that its sender lives to see it."""

_PREFLIGHT_HEADERS = (
    "authorization",
    "x-requested-with",
    "graphql-require-preflight",
    "apollo-require-preflight",
    "x-apollo-operation-name",
)
_SIMPLE_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")


async def read_parameters(request: Request) -> Parameters:
    """The parameters of a GET or POST. Raises RequestRejected with the status that HTTP has for the reason."""
    if request.method == "GET":
        return _from_query(request)
    _check_content_type(request)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _read_body(request)
    except TimeoutError:
        raise RequestRejected.because("the request's body did not come in time", DeadlineExceeded.code, 408) from None
    try:
        return to_parameters(parse_json(body.decode()))
    except ValueError:
        raise RequestRejected.because("the body is not JSON in UTF-8") from None


def _from_query(request: Request) -> Parameters:
    """A page elsewhere can make a browser send a plain GET, but not one with any of these headers."""
    if not _is_deliberate(request):
        raise RequestRejected.because(
            "a query by GET needs a header that no form sends, such as x-requested-with", Forbidden.code, 403
        )
    body: dict[str, Any] = dict(request.query_params)
    try:
        for name in ("variables", "extensions"):
            if name in body:
                body[name] = parse_json(body[name] or "null")
    except ValueError:
        raise RequestRejected.because(f"`{name}` is not JSON") from None
    if "operationName" in body and not body["operationName"]:
        del body["operationName"]
    return to_parameters(body)


def _is_deliberate(request: Request) -> bool:
    headers = request.headers
    if any(name in headers for name in _PREFLIGHT_HEADERS):
        return True
    content_type = _media_type(headers.get("content-type", ""))
    if content_type and content_type not in _SIMPLE_TYPES:
        return True
    return headers.get("sec-fetch-mode") in ("cors", "same-origin")


def _check_content_type(request: Request) -> None:
    value = request.headers.get("content-type", "")
    charset = value.lower().partition("charset=")[2].partition(";")[0].strip().strip('"') or "utf-8"
    if _media_type(value) != "application/json" or charset not in ("utf-8", "utf8"):
        raise RequestRejected.because("the content type must be application/json, in UTF-8", status=415)
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RequestRejected.because("compressed requests are not supported", status=415)


def _media_type(value: str) -> str:
    return value.partition(";")[0].strip().lower()


async def _read_body(request: Request) -> bytes:
    parts = request.stream()
    try:
        if _declared_length(request) <= MAX_BODY_BYTES and (body := await _joined(parts)) is not None:
            return body
        await _discard(parts)
    except ClientDisconnect:
        raise RequestRejected.because("the request ended early") from None
    raise RequestRejected.because(f"the request is over {MAX_BODY_BYTES} bytes", status=413)


async def _joined(parts: AsyncIterator[bytes]) -> bytes | None:
    """None as soon as it is too large."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in parts:
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


async def _discard(parts: AsyncIterator[bytes]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_SECONDS):
            async for _ in parts:
                pass


def _declared_length(request: Request) -> int:
    declared = request.headers.get("content-length", "0")
    return int(declared) if declared.isdecimal() else 0

"""The one translator of the error tree to GraphQL: a message and `extensions`."""

from __future__ import annotations

from typing import Any

from parley_kit.errors import BadInput, Internal, ParleyError, Retryable


def to_extensions(error: ParleyError, request_id: str) -> tuple[str, dict[str, Any]]:
    """Message and extensions: code, seconds until a retry, field at fault. A bug shows its request id alone."""
    extensions: dict[str, Any] = {"code": error.code}
    if isinstance(error, Internal):
        return "internal error", {**extensions, "requestId": request_id}
    if isinstance(error, Retryable):
        extensions["retryAfter"] = error.retry_after
    if isinstance(error, BadInput) and error.field:
        extensions["field"] = error.field
    return error.message, extensions

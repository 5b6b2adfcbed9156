"""Every error as clients get it: with `extensions.code`, and a bug with its request id alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphql import FieldNode, GraphQLError

from parley_gateway.metrics import ERRORS
from parley_kit.errors import BadInput, Internal, ParleyError
from parley_kit.graphql import to_extensions
from parley_kit.logs import get_logger

log = get_logger(__name__)

PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"

FormattedError = dict[str, Any]


class RequestRejected(Exception):
    """The request was refused before anything ran: there is no data, and `errors` say why. status is HTTP's."""

    def __init__(self, errors: list[FormattedError], status: int = 400) -> None:
        super().__init__(errors)
        self.errors = errors
        self.status = status

    @classmethod
    def because(cls, message: str, code: str = BadInput.code, status: int = 400) -> RequestRejected:
        ERRORS.labels(code).inc()
        return cls([{"message": message, "extensions": {"code": code}}], status)


class SubscriptionRefused(RequestRejected):
    """The request was well-formed, but its subscription did not begin."""


def format_parley_error(error: ParleyError, request_id: str) -> FormattedError:
    if isinstance(error, Internal):
        log.error("operation_failed", request_id=request_id, error=error.message)
    ERRORS.labels(error.code).inc()
    message, extensions = to_extensions(error, request_id)
    return {"message": message, "extensions": extensions}


def format_request_errors(errors: Iterable[GraphQLError], code: str) -> list[FormattedError]:
    """Errors found before execution, all of one kind."""
    formatted: list[FormattedError] = [
        {**error.formatted, "message": _worded(error), "extensions": {"code": code}} for error in errors
    ]
    ERRORS.labels(code).inc(len(formatted))
    return formatted


def _worded(error: GraphQLError) -> str:
    """What Python said of a value that it could not read (a number of 5,000 digits) is nobody's business."""
    cause: Exception | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return error.message.replace(str(cause), "out of range") if cause and str(cause) else error.message


def format_execution_errors(errors: Iterable[GraphQLError], request_id: str) -> list[FormattedError]:
    """Errors of fields. What no resolver meant to raise is masked and logged."""
    return [_format_execution_error(error, request_id) for error in errors]


def _format_execution_error(error: GraphQLError, request_id: str) -> FormattedError:
    known = _meant(error)
    if known is None:
        log.error("field_failed", request_id=request_id, exc_info=error.original_error or error)
        known = Internal(str(error))
    formatted: FormattedError = {**error.formatted, **format_parley_error(known, request_id)}
    return formatted


def _meant(error: GraphQLError) -> ParleyError | None:
    original = error.original_error
    if isinstance(original, ParleyError):
        return original
    if original is None and error.nodes and not isinstance(error.nodes[0], FieldNode):
        return BadInput(error.message)  # graphql-core on the value of an argument
    return None

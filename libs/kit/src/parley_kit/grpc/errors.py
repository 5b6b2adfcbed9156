"""The one translator between the error tree and gRPC: a status, and the stable code in trailing metadata."""

from __future__ import annotations

import grpc
import grpc.aio

from parley_kit import errors
from parley_kit.errors import BadInput, Internal, ParleyError, Retryable, Unavailable, rebuild

CODE_KEY = "parley-code"
FIELD_KEY = "parley-field-bin"
RETRY_AFTER_KEY = "parley-retry-after"
MESSAGE_KEY = "parley-message-bin"

_STATUS: dict[str, grpc.StatusCode] = {
    errors.BadInput.code: grpc.StatusCode.INVALID_ARGUMENT,
    errors.Unauthenticated.code: grpc.StatusCode.UNAUTHENTICATED,
    errors.Forbidden.code: grpc.StatusCode.PERMISSION_DENIED,
    errors.NotFound.code: grpc.StatusCode.NOT_FOUND,
    errors.Conflict.code: grpc.StatusCode.ABORTED,
    errors.DeadlineExceeded.code: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.RateLimited.code: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Overloaded.code: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable.code: grpc.StatusCode.UNAVAILABLE,
    errors.Internal.code: grpc.StatusCode.INTERNAL,
}


class Unreachable(Unavailable):
    """It is the transport that says so: the peer may never have seen the call."""


Trailers = tuple[tuple[str, str | bytes], ...]


def to_status(error: ParleyError) -> tuple[grpc.StatusCode, str, Trailers]:
    """Status, details and trailing metadata of an error. An Internal keeps its message to itself."""
    message = "internal error" if isinstance(error, Internal) else error.message
    trailers: list[tuple[str, str | bytes]] = [(CODE_KEY, error.code), (MESSAGE_KEY, message.encode())]
    if isinstance(error, BadInput) and error.field:
        trailers.append((FIELD_KEY, error.field.encode()))
    if isinstance(error, Retryable):
        trailers.append((RETRY_AFTER_KEY, f"{error.retry_after:.3f}"))
    return _STATUS[error.code], message.encode("ascii", "replace").decode(), tuple(trailers)


def from_rpc_error(error: grpc.aio.AioRpcError) -> ParleyError:
    """What the peer meant; without a code of ours it is the transport that speaks."""
    trailers = dict(error.trailing_metadata() or ())
    code = trailers.get(CODE_KEY)
    if code is None:
        return _from_transport(error)
    message = _text(trailers.get(MESSAGE_KEY)) or error.details() or ""
    retry_after = trailers.get(RETRY_AFTER_KEY)
    return rebuild(
        str(code),
        message,
        field=_text(trailers.get(FIELD_KEY)),
        retry_after=None if retry_after is None else float(retry_after),
    )


def _from_transport(error: grpc.aio.AioRpcError) -> ParleyError:
    match error.code():
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return errors.DeadlineExceeded("the request took too long")
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
            return Unreachable("a service that this needs is not reachable")
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return errors.Overloaded("too much at once, or a message over the size limit")
        case _:
            return Internal(f"{error.code().name}: {error.details()}")


def _text(value: str | bytes | None) -> str | None:
    return value.decode() if isinstance(value, bytes) else value

"""The one error tree. A code is stable and public; a message is for people and names the field at fault.

ParleyError
├── BadInput            BAD_INPUT
├── Unauthenticated     UNAUTHENTICATED
├── Forbidden           FORBIDDEN
├── NotFound            NOT_FOUND
├── Conflict            CONFLICT
├── DeadlineExceeded    DEADLINE_EXCEEDED
├── Internal            INTERNAL             a bug: its message never leaves the process
└── Retryable                                retry_after, in seconds
    ├── RateLimited     RATE_LIMITED
    ├── Overloaded      OVERLOADED
    └── Unavailable     UNAVAILABLE
"""

from __future__ import annotations

from typing import ClassVar


class ParleyError(Exception):
    """Something that a caller is told, by its code."""

    code: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadInput(ParleyError):
    """What was asked can never be done. `field` is the name that the caller used for it."""

    code = "BAD_INPUT"

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Unauthenticated(ParleyError):
    code = "UNAUTHENTICATED"


class Forbidden(ParleyError):
    code = "FORBIDDEN"


class NotFound(ParleyError):
    """Absent, or somebody else's: the two must look the same."""

    code = "NOT_FOUND"


class Conflict(ParleyError):
    code = "CONFLICT"


class DeadlineExceeded(ParleyError):
    code = "DEADLINE_EXCEEDED"


class Internal(ParleyError):
    code = "INTERNAL"


class Retryable(ParleyError):
    """The same call may succeed after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimited(Retryable):
    code = "RATE_LIMITED"


class Overloaded(Retryable):
    code = "OVERLOADED"


class Unavailable(Retryable):
    code = "UNAVAILABLE"


PUBLIC_ERRORS: tuple[type[ParleyError], ...] = (
    BadInput,
    Unauthenticated,
    Forbidden,
    NotFound,
    Conflict,
    DeadlineExceeded,
    Internal,
    RateLimited,
    Overloaded,
    Unavailable,
)


def rebuild(code: str, message: str, *, field: str | None = None, retry_after: float | None = None) -> ParleyError:
    """The error that a peer meant by `code`. An unknown code is Internal."""
    kind = next((kind for kind in PUBLIC_ERRORS if kind.code == code), Internal)
    if issubclass(kind, Retryable):
        return kind(message, 1.0 if retry_after is None else retry_after)
    return BadInput(message, field) if kind is BadInput else kind(message)

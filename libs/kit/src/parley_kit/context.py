"""What a request carries through every hop: the deadline, the user's token, and who the user is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from parley_kit.errors import DeadlineExceeded, Unauthenticated


@dataclass(frozen=True, slots=True)
class Principal:
    """The user that an access token speaks for. session_id names the refresh family; expires_at is Unix seconds."""

    user_id: str
    session_id: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class RequestContext:
    """deadline is on the monotonic clock of this process; None: no limit yet."""

    deadline: float | None = None
    access_token: str | None = None
    principal: Principal | None = None


_current: ContextVar[RequestContext] = ContextVar("parley_request", default=RequestContext())  # noqa: B039 - frozen


def current() -> RequestContext:
    return _current.get()


def current_principal() -> Principal:
    """The authenticated caller. Raises Unauthenticated when the request brought no token."""
    principal = _current.get().principal
    if principal is None:
        raise Unauthenticated("sign in first: this needs an access token")
    return principal


@contextmanager
def enter(context: RequestContext) -> Iterator[RequestContext]:
    """Make `context` the current one of this task for the block."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


@contextmanager
def budget(seconds: float) -> Iterator[RequestContext]:
    """Give the block at most `seconds`, and never more than what its caller has left."""
    here = _current.get()
    deadline = time.monotonic() + seconds
    with enter(replace(here, deadline=deadline if here.deadline is None else min(deadline, here.deadline))) as context:
        yield context


def remaining(default: float) -> float:
    """Seconds left of the request's budget, at most `default`. Raises DeadlineExceeded when none are."""
    deadline = _current.get().deadline
    if deadline is None:
        return default
    left = deadline - time.monotonic()
    if left <= 0:
        raise DeadlineExceeded("the request's time is used up")
    return min(left, default)

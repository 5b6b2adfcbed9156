"""HTTP as Parley serves it: a server that the lifecycle owns, and the one translator of errors to responses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.responses import JSONResponse

from parley_kit import errors
from parley_kit.errors import Internal, ParleyError, Retryable
from parley_kit.settings import ConfigError

DRAIN_SECONDS = 5
BACKLOG = 2048

_STATUS: dict[str, int] = {
    errors.BadInput.code: 400,
    errors.Unauthenticated.code: 401,
    errors.Forbidden.code: 403,
    errors.NotFound.code: 404,
    errors.Conflict.code: 409,
    errors.RateLimited.code: 429,
    errors.Overloaded.code: 429,
    errors.Unavailable.code: 503,
    errors.DeadlineExceeded.code: 504,
    errors.Internal.code: 500,
}


def to_response(error: ParleyError) -> JSONResponse:
    """The error as a response: `{"error": {"code", "message"}}`, with Retry-After where it helps."""
    headers = {"Retry-After": str(max(1, round(error.retry_after)))} if isinstance(error, Retryable) else {}
    message = "internal error" if isinstance(error, Internal) else error.message
    body = {"error": {"code": error.code, "message": message}}
    return JSONResponse(body, status_code=_STATUS[error.code], headers=headers)


class _Server(uvicorn.Server):
    """Signals belong to the lifecycle of the whole process, not to one server in it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0: a free one. Raises ConfigError when the port is taken."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    return listener


@asynccontextmanager
async def serve_http(app: Any, listener: socket.socket, **options: Any) -> AsyncIterator[int]:
    """Serve `app` until the block ends, then give running requests 5 s. Yields the port."""
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=DRAIN_SECONDS, **options
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task

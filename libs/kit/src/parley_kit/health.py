"""/livez, /readyz and /metrics: is the loop turning, would a request be served, and how is it going."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

CHECK_TIMEOUT = 2.0
Check = Callable[[], Awaitable[object]]


class Readiness:
    """Named checks of what a service needs for its work; a check raises when its part is not there."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._draining = False

    def add(self, name: str, check: Check) -> None:
        self._checks[name] = check

    def drain(self) -> None:
        """Not ready from now on: the process is about to stop."""
        self._draining = True

    async def report(self) -> tuple[bool, dict[str, str]]:
        """Whether all is well, and for each part `ok` or what is wrong."""
        if self._draining:
            return False, {"draining": "the process is about to stop"}
        outcomes = await asyncio.gather(*map(_outcome, self._checks.values()))
        parts = dict(zip(self._checks, outcomes, strict=True))
        return all(outcome == "ok" for outcome in outcomes), parts


async def _outcome(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            await check()
    except TimeoutError:
        return f"no answer within {CHECK_TIMEOUT:g} s"
    except Exception as error:  # noqa: BLE001 - whatever is wrong is the answer
        return str(error) or type(error).__name__
    return "ok"


def health_routes(readiness: Readiness) -> list[Route]:
    """The three routes, for a service's own HTTP port or the gateway's application."""

    async def livez(_request: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_request: Request) -> Response:
        ready, parts = await readiness.report()
        return JSONResponse({"ready": ready, "parts": parts}, status_code=200 if ready else 503)

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]

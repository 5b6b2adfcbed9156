"""The ASGI application: which path leads to which transport."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from parley_gateway.entrypoints.graphql.errors import RequestRejected, format_parley_error
from parley_gateway.entrypoints.http import METHODS, HttpEndpoint, refusal
from parley_gateway.entrypoints.media import JSON
from parley_gateway.entrypoints.sse import SseEndpoint
from parley_gateway.entrypoints.ws.socket import WsEndpoint
from parley_gateway.gateway import Gateway
from parley_kit.errors import Internal
from parley_kit.health import Readiness, health_routes
from parley_kit.ids import new_id


def build_app(gateway: Gateway, readiness: Readiness, stopping: asyncio.Event) -> FastAPI:
    """The application. `stopping` ends its event streams when the process is about to end."""
    routes: list[BaseRoute] = [
        Route("/", _to_graphql),
        Route("/graphql", HttpEndpoint(gateway).handle, methods=METHODS),
        WebSocketRoute("/graphql", WsEndpoint(gateway).handle),
        Route("/graphql/stream", SseEndpoint(gateway, stopping)),
        *health_routes(readiness),
    ]
    cors = Middleware(
        CORSMiddleware, allow_origins=sorted(gateway.origins), allow_methods=["GET", "POST"], allow_headers=["*"]
    )
    return FastAPI(
        openapi_url=None,
        routes=routes,
        middleware=[cors] if gateway.origins else [],
        exception_handlers={Exception: _internal},
        telemetry={"tracing": False},  # an endpoint has its own span
    )


async def _to_graphql(_request: Request) -> Response:
    """Where somebody who opens the bare address wants to be."""
    return RedirectResponse("/graphql")


async def _internal(_request: Request, error: Exception) -> Response:
    """A bug, masked. The server logs the traceback."""
    masked = format_parley_error(Internal(repr(error)), new_id())
    return refusal(RequestRejected([masked], 500), JSON)

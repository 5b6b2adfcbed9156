"""A client of event streams that sees every line."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from parley_gateway.testing.stack import Stack

SseEvent = tuple[str, Any]


@asynccontextmanager
async def open_events(
    stack: Stack, query: str, variables: dict[str, Any] | None = None
) -> AsyncIterator[AsyncIterator[SseEvent]]:
    """The events of a POST as the user: names and data; comments come as ("", text)."""
    headers = {"authorization": f"Bearer {stack.token}", "accept": "text/event-stream"}
    body = {"query": query, "variables": variables}
    async with stack.http.stream("POST", "/graphql/stream", json=body, headers=headers) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream"), await reply.aread()
        yield parse_events(reply)


async def parse_events(reply: httpx.Response) -> AsyncIterator[SseEvent]:
    name, data = "", ""
    async for line in reply.aiter_lines():
        if line.startswith(":"):
            yield "", line[1:]
        elif line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data:"):
            data = line.removeprefix("data:").strip()
        elif name:
            yield name, json.loads(data) if data else ""
            name, data = "", ""

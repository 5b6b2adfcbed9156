"""The server behind its address: asks, and reads what comes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse
from pydantic import ValidationError

from parley_kit.loopback import is_loopback
from parley_kit.settings import ConfigError
from parley_worker.backends.openai.config import OpenAiConfig
from parley_worker.backends.openai.refusals import Failure, Lost, Silent, Unreadable
from parley_worker.backends.openai.wire import ListedModel, ModelList, Piece, parse_piece, parse_refusal
from parley_worker.core import Usage

DONE = "[DONE]"
TAIL_SECONDS = 2.0
"""How long a finished answer waits for its usage."""
LIST_SECONDS = 5.0
_NO_LIST = {404, 405, 501}


class Server:
    """Open one with `open_server`. Raises Failures alone."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def list_models(self) -> list[ListedModel] | None:
        """What it serves. None: it answers, but has no such list."""
        try:
            async with asyncio.timeout(LIST_SECONDS):
                response = await self._http.get("models")
        except (TimeoutError, httpx.RequestError) as error:
            raise Lost(_reason(error)) from None
        if response.status_code in _NO_LIST:
            return None
        if response.is_error:
            raise parse_refusal(response.status_code, _json(response.content), _retry_after(response))
        try:
            return ModelList.model_validate_json(response.content).data
        except ValidationError:
            raise Unreadable("its list of models cannot be read") from None

    async def stream(self, body: Mapping[str, Any]) -> AsyncGenerator[Piece]:
        """The pieces of an answer; the last one, and only it, has `finish`. Closing it closes the connection."""
        try:
            async with aconnect_sse(self._http, "POST", "chat/completions", json=body) as source:
                if source.response.is_error:
                    content = await source.response.aread()
                    raise parse_refusal(source.response.status_code, _json(content), _retry_after(source.response))
                async with aclosing(source.aiter_sse()) as events:
                    async for event in events:
                        piece = Piece(finish="stop") if event.data == DONE else parse_piece(event.data)
                        if piece.finish:
                            yield replace(piece, usage=await _last_usage(events) or piece.usage)
                            return
                        yield piece
        except (httpx.ReadTimeout, httpx.WriteTimeout):
            raise Silent("the server said nothing for too long") from None
        except httpx.RequestError as error:
            raise Lost(_reason(error)) from None
        raise Lost("the server ended its answer in the middle")


@asynccontextmanager
async def open_server(config: OpenAiConfig) -> AsyncIterator[Server]:
    """Connects when it is asked. Raises ConfigError for an address that is none."""
    try:
        url = httpx.URL(config.url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"PARLEY_OPENAI_URL: {error}") from None
    base = url if url.path.strip("/") else url.copy_with(path="/v1")
    headers = {"Authorization": f"Bearer {config.api_key}"} if config.api_key else {}
    timeout = httpx.Timeout(config.silence_seconds, connect=config.connect_seconds, pool=config.connect_seconds)
    limits = httpx.Limits(max_connections=config.capacity + 2, max_keepalive_connections=config.capacity)
    proxies = not is_loopback(config.url)  # of the environment
    async with httpx.AsyncClient(
        base_url=base, headers=headers, timeout=timeout, limits=limits, trust_env=proxies
    ) as http:
        yield Server(http)


async def _last_usage(events: AsyncIterator[ServerSentEvent]) -> Usage | None:
    """Read to the end, so that the connection can be used again; the answer is whole whatever happens here."""
    usage = None
    with suppress(TimeoutError, httpx.RequestError, Failure):
        async with asyncio.timeout(TAIL_SECONDS):
            async for event in events:
                if event.data != DONE:
                    usage = parse_piece(event.data).usage or usage
    return usage


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds, from either form of the header."""
    value = response.headers.get("retry-after", "")
    with suppress(ValueError):
        return max(0.0, float(value))
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(value).astimezone(UTC) - datetime.now(UTC)).total_seconds())
    return None


def _json(content: bytes) -> object:
    """The JSON in a body, or what else it says, on one line."""
    try:
        return json.loads(content)
    except ValueError:
        return {"message": " ".join(content.decode(errors="replace").split())}


def _reason(error: Exception) -> str:
    return f"the server cannot be reached: {error}" if str(error) else f"the server: {type(error).__name__}"

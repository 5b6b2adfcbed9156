"""The harness's reader: it goes on where it was cut, and stops at the end."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest
from chaos import exchange
from chaos.caller import Caller
from chaos.exchange import read_to_the_end
from chaos.record import open_record
from support.graphql import Http

FINISHED = {"__typename": "GenerationFinished", "state": "COMPLETED", "finishReason": "LENGTH", "message": None}


@pytest.mark.parametrize("text", ["", "w0 "])
async def test_an_end_is_the_end_though_the_connection_is_cut_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """First a cut before the end, which is read on behind; then one right behind the end."""
    asked: list[dict[str, Any]] = []

    async def subscribe(_url: str, _token: str, _document: str, variables: dict[str, Any]) -> AsyncGenerator[Any]:
        asked.append(variables)
        if len(asked) == 1:
            if text:
                yield {"data": {"generation": {"__typename": "TokenDelta", "offset": 0, "text": text, "attempt": 1}}}
        else:
            yield {"data": {"generation": dict(FINISHED)}}
        raise httpx.RemoteProtocolError("cut")

    monkeypatch.setitem(exchange.TRANSPORTS, "sse", subscribe)
    monkeypatch.setattr(exchange, "PAUSE_SECONDS", 0.0)
    async with httpx.AsyncClient() as client:
        with open_record(tmp_path / "history.jsonl") as recorder:
            caller = Caller([Http("http://127.0.0.1:1", client)], "token", recorder, random.Random(0))
            await read_to_the_end(caller, "client", "g", "sse")
    assert [variables["after"] for variables in asked] == [0, len(text)]

"""A signed-in user of the harness: asks over any gateway, and puts on record what was asked and how it ended."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from support.graphql import Http
from websockets.exceptions import InvalidHandshake, WebSocketException

from chaos.operation import Json, Recorder

AWAY = (httpx.TransportError, OSError, WebSocketException, InvalidHandshake, EOFError, ValueError)
PAUSE_SECONDS = 0.1
MOST_PAUSE_SECONDS = 2.0
PATIENCE_SECONDS = 10.0
"""A connection that says nothing for so long is given up: nobody sends a sign of life to a GraphQL operation."""


class Refused(Exception):
    """The platform said no, or nothing. `again`: whether the same may be asked again."""

    def __init__(self, error: str, retry_after: float | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.retry_after = retry_after
        self.again = error in {"UNAVAILABLE", "OVERLOADED", "RATE_LIMITED", "DEADLINE_EXCEEDED", "CUT", "SILENT"}


@dataclass
class Caller:
    """A signed-in user and the gateways to choose from. The token may be renewed at any time."""

    gateways: Sequence[Http]
    token: str
    recorder: Recorder
    chance: random.Random

    def gateway(self) -> int:
        return self.chance.randrange(len(self.gateways))

    async def ask(self, process: str, f: str, document: str, variables: Json, **value: Any) -> Json:
        """One operation over any gateway, on record with what `value` says of it. Raises Refused.

        `ok` is left to the caller, who knows what was learnt.
        """
        gateway = self.gateway()
        self.recorder.record(process, "invoke", f, **value, gateway=gateway)
        try:
            return await self._post(self.gateways[gateway], document, variables)
        except Refused as refused:
            how = "info" if refused.again else "fail"
            told = {"error": refused.error, "retry_after": refused.retry_after}
            self.recorder.record(process, how, f, **value, gateway=gateway, **told)
            raise

    async def insist(self, process: str, f: str, document: str, variables: Json, **value: Any) -> Json:
        """`ask` until there is an answer. Raises Refused when asking again is of no use."""
        pause = PAUSE_SECONDS
        while True:
            try:
                return await self.ask(process, f, document, variables, **value)
            except Refused as refused:
                if not refused.again:
                    raise
                await asyncio.sleep(min(refused.retry_after or pause, MOST_PAUSE_SECONDS))
                pause = min(pause * 2, MOST_PAUSE_SECONDS)

    async def _post(self, http: Http, document: str, variables: Mapping[str, Any]) -> Json:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                answer = await http.post(document, variables, self.token)
        except TimeoutError:
            raise Refused("SILENT") from None
        except AWAY:
            raise Refused("CUT") from None
        except AssertionError as error:
            raise Refused(f"BROKEN {error}") from error
        return data_of(answer)


def data_of(answer: Json) -> Json:
    """Raises Refused."""
    if errors := answer.get("errors"):
        extensions = errors[0].get("extensions", {})
        raise Refused(str(extensions.get("code")), extensions.get("retryAfter"))
    data: Json = answer["data"]
    return data

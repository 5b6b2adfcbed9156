"""A client that never gives up: it sends one message, reads the answer to its end, and remembers what it was told."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import httpx
from websockets.exceptions import InvalidHandshake, WebSocketException

from support.graphql import TRANSPORTS, Http, Json
from support.history import Acknowledged, History, Reading
from support.people import SEND

AWAY = (httpx.TransportError, OSError, WebSocketException, InvalidHandshake, EOFError)
AGAIN = {"UNAVAILABLE", "OVERLOADED", "RATE_LIMITED", "DEADLINE_EXCEEDED"}
PAUSE_SECONDS = 0.1

READ = """
subscription ($id: ID!, $after: Int, $attempt: Int) {
  generation(id: $id, after: $after, attempt: $attempt) {
    __typename
    ... on TokenDelta { offset text attempt }
    ... on GenerationRestarted { attempt }
    ... on GenerationFinished { state finishReason message { id content } }
  }
}
"""


class Agent:
    """`reads` is set by the first event, `done` by the end; the reading spans any number of connections."""

    def __init__(self, http: Http, token: str, conversation_id: str, content: str, tokens: int, transport: str) -> None:
        self._http = http
        self._token = token
        self._conversation_id = conversation_id
        self._content = content
        self._tokens = tokens
        self._transport = transport
        self.acknowledged: Acknowledged | None = None
        self.reading: Reading | None = None
        self.reads = asyncio.Event()
        self.done = asyncio.Event()

    async def run(self) -> None:
        """Until the end of the answer has been read."""
        self.acknowledged = await self._send()
        self.reading = Reading(self.acknowledged.generation_id, [])
        place: Json = {"id": self.reading.generation_id, "after": 0, "attempt": None}
        while not self.reading.ends:
            try:
                await self._read(place)
            except AWAY:
                await asyncio.sleep(PAUSE_SECONDS)
        self.done.set()

    def tell(self, history: History) -> None:
        if self.acknowledged is not None:
            history.acknowledged.append(self.acknowledged)
        if self.reading is not None:
            history.readings.append(self.reading)

    async def _send(self) -> Acknowledged:
        """The content is the request id too, so that every repetition is the same request."""
        details = {
            "conversationId": self._conversation_id,
            "content": self._content,
            "requestId": self._content,
            "parameters": {"maxTokens": self._tokens},
        }
        while True:
            try:
                answer = await self._http.post(SEND, {"input": details}, self._token)
            except (*AWAY, ValueError):
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            if not _is_away(answer):
                sent = answer["data"]["sent"]
                return Acknowledged(
                    self._conversation_id, self._content, sent["userMessage"]["id"], sent["generation"]["id"]
                )
            await asyncio.sleep(PAUSE_SECONDS)

    async def _read(self, place: Json) -> None:
        """One connection. What it adds to the reading moves `place` on."""
        assert self.reading is not None
        stream = TRANSPORTS[self._transport](self._http.url, self._token, READ, dict(place))
        async with aclosing(stream) as answers:
            async for answer in answers:
                if _is_away(answer):
                    raise EOFError
                event = answer["data"]["generation"]
                self.reading.events.append(event)
                self.reads.set()
                if event["__typename"] == "TokenDelta":
                    place.update(after=event["offset"] + len(event["text"]), attempt=event["attempt"])
                elif event["__typename"] == "GenerationRestarted":
                    place.update(after=0, attempt=event["attempt"])


def _is_away(answer: Json) -> bool:
    """Whether to try again. Fails on an error that a client could not know what to do with."""
    if not answer.get("errors"):
        return False
    code = answer["errors"][0]["extensions"]["code"]
    assert code in AGAIN, answer
    return True

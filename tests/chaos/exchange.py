"""A client that never gives up: one message, its answer read to the end, and all that it was told on record."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx
from support.graphql import TRANSPORTS, Http
from support.people import SEND, STOP
from websockets.exceptions import InvalidHandshake, WebSocketException

from chaos.operation import Json, Recorder

AWAY = (httpx.TransportError, OSError, WebSocketException, InvalidHandshake, EOFError, ValueError)
PAUSE_SECONDS = 0.1
MOST_PAUSE_SECONDS = 2.0
PATIENCE_SECONDS = 10.0
"""A connection that says nothing for so long is given up: nobody sends a sign of life to a GraphQL operation."""

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


class Exchange:
    """`acknowledged` is set by the yes to the message, `reads` by the first event, `done` by the end of the answer."""

    def __init__(
        self,
        caller: Caller,
        process: str,
        conversation: str,
        content: str,
        tokens: int,
        transport: str,
        *,
        hedged: bool = False,
        stops: bool = False,
    ) -> None:
        """hedged: ask twice at the same time. stops: press stop once it has begun."""
        self._caller = caller
        self._process = process
        self.conversation = conversation
        self._content = content
        self._tokens = tokens
        self._transport = transport
        self._hedged = hedged
        self._stops = stops
        self.generation: str | None = None
        self.acknowledged = asyncio.Event()
        self.reads = asyncio.Event()
        self.done = asyncio.Event()

    async def run(self) -> None:
        """Until the end of the answer has been read."""
        processes = [self._process, *([f"{self._process}/twin"] if self._hedged else [])]
        generations = await asyncio.gather(*(self._send(process) for process in processes))
        self.generation = generations[0]
        self.acknowledged.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                read_to_the_end(self._caller, self._process, self.generation, self._transport, self.reads)
            )
            if self._stops:
                tasks.create_task(self._stop(self.generation))
        self.done.set()

    async def _send(self, process: str) -> str:
        """The content is the request id too, so that every repetition is the same request."""
        details = {
            "conversationId": self.conversation,
            "content": self._content,
            "requestId": self._content,
            "parameters": {"maxTokens": self._tokens},
        }
        said = {"request": self._content, "conversation": self.conversation, "content": self._content}
        said_too = {**said, "tokens": self._tokens}
        sent = (await self._caller.insist(process, "send", SEND, {"input": details}, **said_too))["sent"]
        told = {"message": sent["userMessage"]["id"], "generation": sent["generation"]["id"]}
        self._caller.recorder.record(process, "ok", "send", **said_too, **told)
        return str(sent["generation"]["id"])

    async def _stop(self, generation: str) -> None:
        await self.reads.wait()
        process = f"{self._process}/stop"
        await self._caller.insist(process, "stop", STOP, {"id": generation}, generation=generation)
        self._caller.recorder.record(process, "ok", "stop", generation=generation)


async def read_to_the_end(
    caller: Caller, process: str, generation: str, transport: str, reads: asyncio.Event | None = None
) -> None:
    """Over as many connections as it takes, each to any gateway, each from where the last one was cut."""
    place: Json = {"id": generation, "after": 0, "attempt": None}
    reads = reads or asyncio.Event()
    while not await _connection(caller, process, transport, place, reads):
        pass


async def _connection(caller: Caller, process: str, transport: str, place: Json, reads: asyncio.Event) -> bool:
    """One subscription; whether it came to its end. What it tells moves `place` on."""
    gateway = caller.gateway()
    asked = {"generation": place["id"], "after": place["after"], "attempt": place["attempt"], "gateway": gateway}
    value, events = {**asked, "transport": transport}, list[Json]()
    caller.recorder.record(process, "invoke", "read", **value)
    try:
        stream = TRANSPORTS[transport](caller.gateways[gateway].url, caller.token, READ, dict(place))
        await _follow(stream, place, events, reads)
    except Refused as refused:
        told = {"error": refused.error, "retry_after": refused.retry_after}
        caller.recorder.record(process, "info", "read", **value, events=events, **told)
        if not refused.again:
            raise
        await asyncio.sleep(min(refused.retry_after or PAUSE_SECONDS, MOST_PAUSE_SECONDS))
        return False
    caller.recorder.record(process, "ok", "read", **value, events=events)
    return True


async def _follow(stream: AsyncGenerator[Json], place: Json, events: list[Json], reads: asyncio.Event) -> None:
    """Raises Refused when it is cut."""
    try:
        async with aclosing(stream) as answers:
            while True:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    answer = await anext(answers, None)
                if answer is None:
                    break
                _take(data_of(answer)["generation"], place, events)
                reads.set()
    except TimeoutError:
        raise Refused("SILENT") from None
    except AWAY:
        raise Refused("CUT") from None
    except AssertionError as error:
        raise Refused(f"BROKEN {error}") from error
    if not events or "finished" not in events[-1]:
        raise Refused("BROKEN it was complete without an end")


def _take(event: Json, place: Json, events: list[Json]) -> None:
    match event.pop("__typename"):
        case "TokenDelta":
            place.update(after=event["offset"] + len(event["text"]), attempt=event["attempt"])
            events.append(event)
        case "GenerationRestarted":
            place.update(after=0, attempt=event["attempt"])
            events.append({"restarted": event["attempt"]})
        case _:
            events.append({"finished": event})

"""A client that never gives up: one message, its answer read to the end, and all that it was told on record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from support.graphql import TRANSPORTS
from support.people import SEND, STOP

from chaos.caller import AWAY, MOST_PAUSE_SECONDS, PATIENCE_SECONDS, PAUSE_SECONDS, Caller, Refused, data_of
from chaos.operation import Json

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
        if events and "finished" in events[-1]:
            return True  # what was cut is the goodbye alone, and nobody would ask again
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

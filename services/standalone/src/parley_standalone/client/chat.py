"""Conversations for a reader in a terminal: send, follow an answer through every dropped connection, stop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from parley_kit.clock import Clock
from parley_kit.errors import NotFound, Retryable, Unauthenticated, Unavailable
from parley_kit.ids import new_id
from parley_standalone.client.account import Account
from parley_standalone.client.answer import SUBSCRIPTION, Answer, Event, event_from

PATIENCE_SECONDS = 60.0
FIRST_BACKOFF, LAST_BACKOFF = 0.2, 5.0

MODELS = "query Models { models { name contextLength available } }"
CREATE = "mutation Create($input: CreateConversationInput!) { conversation: createConversation(input: $input) { id } }"
OPEN = "query Open($id: ID!) { conversation(id: $id) { id title } }"
LIST = "query List($first: Int!) { conversations(first: $first) { edges { node { id title updatedAt } } } }"
HISTORY = """
query History($id: ID!, $last: Int!) {
  conversation(id: $id) { messages(last: $last) { edges { node { id role content siblingIds } } } }
}
"""
_SENT = "{ userMessage { id } generation { id } }"
SEND = f"mutation Send($input: SendMessageInput!) {{ sent: sendMessage(input: $input) {_SENT} }}"
REGENERATE = f"mutation Regenerate($input: RegenerateInput!) {{ sent: regenerate(input: $input) {_SENT} }}"
STOP = "mutation Stop($id: ID!) { stopGeneration(id: $id) { id state } }"


@dataclass(frozen=True, slots=True)
class Message:
    """A stored message. siblings: how many answers there are to the same message, this one included."""

    id: str
    role: str
    content: str
    siblings: int


@dataclass(frozen=True, slots=True)
class Sent:
    """An acknowledged message, and the answer that is being made to it."""

    user_message_id: str
    generation_id: str


class ChatClient:
    """The operations of a chat, as the signed-in user. Commands are retried under one request id: they happen once."""

    def __init__(self, account: Account, clock: Clock, on_wait: Callable[[Retryable], None]) -> None:
        self._account = account
        self._clock = clock
        self._on_wait = on_wait

    async def models(self) -> list[dict[str, Any]]:
        """Name, contextLength and available of each model, the default first."""
        models: list[dict[str, Any]] = (await self._account.execute(MODELS, {}))["models"]
        return models

    async def create(self, model: str | None) -> str:
        """The id of a new conversation."""
        data = await self._account.execute(CREATE, {"input": {"model": model}})
        return str(data["conversation"]["id"])

    async def title(self, conversation_id: str) -> str:
        """Raises NotFound when there is no such conversation of this user."""
        conversation = (await self._account.execute(OPEN, {"id": conversation_id}))["conversation"]
        if conversation is None:
            raise NotFound(f"there is no conversation {conversation_id}")
        return str(conversation["title"])

    async def recent(self, first: int = 20) -> list[tuple[str, str]]:
        """Ids and titles, the newest activity first."""
        edges = (await self._account.execute(LIST, {"first": first}))["conversations"]["edges"]
        return [(edge["node"]["id"], edge["node"]["title"]) for edge in edges]

    async def history(self, conversation_id: str, last: int = 50) -> list[Message]:
        """The newest branch, oldest first."""
        data = await self._account.execute(HISTORY, {"id": conversation_id, "last": last})
        if data["conversation"] is None:
            raise NotFound(f"there is no conversation {conversation_id}")
        nodes = [edge["node"] for edge in data["conversation"]["messages"]["edges"]]
        return [Message(node["id"], node["role"], node["content"], len(node["siblingIds"])) for node in nodes]

    async def send(self, conversation_id: str, content: str) -> Sent:
        """Raises what the server refuses; Unavailable only after a minute of trying."""
        return await self._command(SEND, {"conversationId": conversation_id, "content": content})

    async def regenerate(self, message_id: str) -> Sent:
        """Another answer to what `message_id` answered."""
        return await self._command(REGENERATE, {"messageId": message_id})

    async def stop(self, generation_id: str) -> None:
        """Returns once the stop is recorded."""
        await self._account.execute(STOP, {"id": generation_id})

    async def follow(self, answer: Answer) -> AsyncGenerator[Event]:
        """Every event from where `answer` stands to its end, over as many connections as it takes.

        Raises Unavailable after a minute of trying without any event, and what the server refuses.
        """
        backoff = self._backoff()
        while answer.finished is None:
            try:
                async with aclosing(self._read(answer)) as events:
                    async for event in events:
                        backoff.reset()
                        yield event
                        if answer.finished is not None:
                            return
                await backoff.wait(Unavailable("the stream ended before the answer did"))
            except Unauthenticated as error:
                await self._account.renew()
                await backoff.wait(Unavailable(error.message))
            except Retryable as error:
                await backoff.wait(error)

    async def _read(self, answer: Answer) -> AsyncGenerator[Event]:
        place = {"id": answer.generation_id, "after": answer.after, "attempt": answer.attempt}
        async with aclosing(self._account.subscribe(SUBSCRIPTION, place)) as events:
            async for data in events:
                event = event_from(data)
                answer.apply(event)
                yield event

    async def _command(self, document: str, details: dict[str, Any]) -> Sent:
        variables = {"input": {**details, "requestId": new_id()}}
        backoff = self._backoff()
        while True:
            try:
                sent = (await self._account.execute(document, variables))["sent"]
            except Retryable as error:
                await backoff.wait(error)
            else:
                return Sent(sent["userMessage"]["id"], sent["generation"]["id"])

    def _backoff(self) -> _Backoff:
        return _Backoff(self._clock, self._on_wait)


class _Backoff:
    """Waits longer each time, until patience ends and the error is raised. `on_wait` is told of every wait.

    Patience begins with the first error: an answer that is long in coming has not used it up.
    """

    def __init__(self, clock: Clock, on_wait: Callable[[Retryable], None]) -> None:
        self._clock = clock
        self._on_wait = on_wait
        self.reset()

    def reset(self) -> None:
        self._next = FIRST_BACKOFF
        self._until: float | None = None

    async def wait(self, error: Retryable) -> None:
        now = self._clock.monotonic()
        if self._until is None:
            self._until = now + PATIENCE_SECONDS
        if now >= self._until:
            raise error
        self._on_wait(error)
        asked = 0.0 if isinstance(error, Unavailable) else error.retry_after
        await self._clock.sleep(max(self._next, asked))
        self._next = min(self._next * 2, LAST_BACKOFF)

"""The talk itself: one conversation, one answer at a time."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from parley_kit.errors import NotFound
from parley_standalone.chat.exchange import Exchange
from parley_standalone.chat.keyboard import Keyboard
from parley_standalone.chat.renderer import Renderer
from parley_standalone.client import ChatClient, Finished, Message, Sent


class Conversation:
    """Sends and shows. Created on the server at the first message, so that looking around leaves nothing behind."""

    def __init__(self, client: ChatClient, renderer: Renderer, keyboard: Keyboard, model: str | None) -> None:
        self._client = client
        self._renderer = renderer
        self._keyboard = keyboard
        self._model = model
        self._last_answer_id: str | None = None
        self.id: str | None = None

    def begin(self) -> None:
        """Leave this conversation; the next message begins another."""
        self.id, self._last_answer_id = None, None

    async def open(self, conversation_id: str) -> str:
        """Go on with another conversation. Returns its title. Raises NotFound."""
        title = await self._client.title(conversation_id)
        self.id, self._last_answer_id = conversation_id, None
        return title

    async def send(self, content: str) -> Finished | None:
        """Send, and show the answer to its end. None when the user left it before that, by a second Ctrl-C."""
        return await self._exchange(self._send(content))

    async def _send(self, content: str) -> Sent:
        if self.id is None:
            self.id = await self._client.create(self._model)
        return await self._client.send(self.id, content)

    async def regenerate(self) -> Finished | None:
        """Show another answer to the last message. Raises NotFound when there is nothing to answer again."""
        message_id = self._last_answer_id or await self._newest_answer()
        if message_id is None:
            raise NotFound("there is no answer yet to make again")
        return await self._exchange(self._client.regenerate(message_id))

    async def history(self) -> list[Message]:
        return [] if self.id is None else await self._client.history(self.id)

    async def _newest_answer(self) -> str | None:
        answers = [message.id for message in await self.history() if message.role == "ASSISTANT"]
        return answers[-1] if answers else None

    async def _exchange(self, command: Coroutine[Any, Any, Sent]) -> Finished | None:
        exchange = Exchange(self._client, self._renderer)
        with self._keyboard.watch(exchange.interrupt):
            finished = await exchange.run(command)
        if finished is not None:
            self._last_answer_id = finished.message_id or self._last_answer_id
        return finished

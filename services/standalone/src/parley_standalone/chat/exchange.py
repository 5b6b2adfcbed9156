"""One message and its answer, which the user may stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

from parley_kit.errors import ParleyError
from parley_standalone.chat.renderer import Renderer
from parley_standalone.client import Answer, ChatClient, Finished, Sent


class Exchange:
    """Runs once. `interrupt` stops the answer; a second one, or one before the message is acknowledged, leaves it."""

    def __init__(self, client: ChatClient, renderer: Renderer) -> None:
        self._client = client
        self._renderer = renderer
        self._task: asyncio.Task[Finished | None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._generation_id: str | None = None

    async def run(self, command: Coroutine[Any, Any, Sent]) -> Finished | None:
        """Send and show the answer to its end. None when the user left before that."""
        self._task = asyncio.create_task(self._converse(command))
        await asyncio.wait({self._task})
        if self._stopping is not None:
            await self._stopping
        if self._task.cancelled():
            self._renderer.note("Left alone. If the message arrived, its answer will be in /history.")
            return None
        return self._task.result()

    def interrupt(self) -> None:
        if self._generation_id is not None and self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(self._generation_id))
        elif self._task is not None:
            self._task.cancel()

    async def _converse(self, command: Coroutine[Any, Any, Sent]) -> Finished | None:
        sent = await command
        self._generation_id = sent.generation_id
        self._renderer.sent(sent)
        answer = Answer(sent.generation_id)
        async with aclosing(self._client.follow(answer)) as events:
            async for event in events:
                self._renderer.event(event)
        return answer.finished

    async def _stop(self, generation_id: str) -> None:
        try:
            await self._client.stop(generation_id)
        except ParleyError as error:
            self._renderer.error(error)

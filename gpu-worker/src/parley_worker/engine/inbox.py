"""What the engine said to one request and nobody has read yet."""

from __future__ import annotations

import asyncio

from parley_worker.scheduler.request import Output


class Inbox:
    """One reader. It wakes once for all that has come, however many tokens that is."""

    def __init__(self) -> None:
        self._outputs: list[Output] = []
        self._lost = False
        self._waiter: asyncio.Future[None] | None = None

    def put(self, output: Output) -> None:
        self._outputs.append(output)
        self._wake()

    def lose(self) -> None:
        """Nothing more will come."""
        self._lost = True
        self._wake()

    async def take(self) -> list[Output]:
        """All that has come since the last call, in order; waits for the first. [] once nothing more will come."""
        if not self._outputs and not self._lost:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        outputs, self._outputs = self._outputs, []
        return outputs

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

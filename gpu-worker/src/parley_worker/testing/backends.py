"""A scripted backend that can be watched, and that fails where a test wants it to."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from parley_worker.backends.scripted import ScriptedBackend
from parley_worker.core import Chunk, Job
from parley_worker.testing.wakeup import Wakeup

Check = Callable[[Job, int], None]


class ProbedBackend(ScriptedBackend):
    """`check` sees each job before its first token and after every one, with the tokens made so far, and may raise."""

    def __init__(self, check: Check | None = None, interval_ms: float = 2.0, capacity: int = 8) -> None:
        super().__init__(interval_ms, capacity)
        self._check = check or (lambda job, made: None)
        self._wakeup = Wakeup()
        self.running: set[str] = set()

    async def generate(self, job: Job) -> AsyncGenerator[Chunk]:
        self.running.add(job.id)
        self._wakeup.notify()
        try:
            self._check(job, 0)
            made = 0
            async with aclosing(super().generate(job)) as chunks:
                async for chunk in chunks:
                    yield chunk
                    made += len(chunk.token_ids)
                    self._check(job, made)
        finally:
            self.running.remove(job.id)
            self._wakeup.notify()

    async def until_running(self, count: int) -> None:
        """Wait until so many jobs have a slot or wait for one."""
        await self._wakeup.until(lambda: len(self.running) == count)


def words(start: int, end: int) -> str:
    """The text of the scripted tokens from `start` up to `end`."""
    return "".join(f"w{index} " for index in range(start, end))

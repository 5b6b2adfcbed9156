"""A backend without a model: fixed tokens at a fixed pace, so that runs can be checked and measured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from parley_kit.clock import Clock, SystemClock
from parley_kit.errors import BadInput
from parley_worker.backends.parameters import check_params
from parley_worker.core import Chunk, FinishReason, Job, ModelInfo, Usage
from parley_worker.text.answer import AnswerText

DEFAULT_MAX_TOKENS = 64


class ScriptedBackend:
    """Answers token i, from 0, with id i and the text `w{i} `; `max_tokens` of them, then LENGTH.

    One token comes every `interval_ms`, the first one interval after the start, on an absolute schedule: late tokens
    catch up, so that an answer of n tokens takes n intervals. Interval 0 is as fast as the readers let it.
    """

    def __init__(
        self,
        interval_ms: float = 20.0,
        capacity: int = 256,
        *,
        name: str = "scripted",
        context_length: int = 131_072,
        clock: Clock | None = None,
    ) -> None:
        self.model = ModelInfo(name, context_length, capacity)
        self.ready = True
        self._interval = interval_ms / 1000
        self._slots = asyncio.Semaphore(capacity)
        self._clock = clock or SystemClock()

    async def generate(self, job: Job) -> AsyncGenerator[Chunk]:
        """See `Backend.generate`."""
        check_params(job.params)
        answer = AnswerText(_ScriptedDetokenizer(), job.params.stop)
        try:
            pending = answer.resume(job.resume)
        except ValueError as error:
            raise BadInput(str(error), field="resume") from error
        async with self._slots:
            async for chunk in self._stream(job, answer, pending):
                yield chunk

    async def _stream(self, job: Job, answer: AnswerText, text: str) -> AsyncGenerator[Chunk]:
        first = index = len(job.resume.token_ids)
        end = job.params.max_tokens or DEFAULT_MAX_TOKENS
        prompt_tokens = sum(len(message.content.split()) for message in job.messages)
        start = self._clock.monotonic()
        while index < end and not answer.stopped:
            await self._wait_until(start + (index - first + 1) * self._interval)
            text += answer.push(index)
            index += 1
            if index < end and not answer.stopped:
                yield Chunk(text, (index - 1,), usage=Usage(prompt_tokens, index) if index == first + 1 else None)
                text = ""
        reason = FinishReason.STOP if answer.stopped else FinishReason.LENGTH
        last = tuple(range(max(first, index - 1), index))
        yield Chunk(text + answer.flush(), last, reason, Usage(prompt_tokens, index))

    async def _wait_until(self, due: float) -> None:
        # Even a token that is late gives way to the others once.
        await self._clock.sleep(max(0.0, due - self._clock.monotonic()))


class _ScriptedDetokenizer:
    def push(self, token_id: int) -> str:
        return f"w{token_id} "

    def flush(self) -> str:
        return ""

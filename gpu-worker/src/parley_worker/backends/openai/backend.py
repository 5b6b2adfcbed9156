"""The backend: jobs to requests, pieces to chunks, failures to Parley's errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from parley_kit.clock import Clock
from parley_kit.errors import BadInput, ParleyError, Unavailable
from parley_kit.logs import get_logger
from parley_worker.backends.openai.dialects import Manner
from parley_worker.backends.openai.health import ServerHealth
from parley_worker.backends.openai.patience import Patience
from parley_worker.backends.openai.prompt import Prompt
from parley_worker.backends.openai.refusals import Failure, Refusal
from parley_worker.backends.openai.server import Server
from parley_worker.backends.openai.text import ServerText
from parley_worker.backends.openai.wire import Piece
from parley_worker.backends.parameters import check_params
from parley_worker.core import Chunk, FinishReason, Job, ModelInfo, Prefix, Usage

log = get_logger(__name__)

_REASONS = {
    "stop": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
}


class OpenAiBackend:
    """Open one with `open_openai_backend`.

    Two guarantees of the port are the server's to give. An answer that is gone on with is seeded anew, and differs from
    what it would have been; a server that cannot go on makes it begin again. Usage is what the server counts: none
    where it counts nothing, and after a takeover the resumed text is part of the prompt unless its token ids are known.
    """

    def __init__(
        self,
        server: Server,
        health: ServerHealth,
        model: ModelInfo,
        server_model: str,
        manner: Manner,
        patience_seconds: float,
        clock: Clock,
    ) -> None:
        self.model = model
        self._server = server
        self._health = health
        self._server_model = server_model
        self._manner = manner
        self._patience_seconds = patience_seconds
        self._clock = clock
        self._slots = asyncio.Semaphore(model.capacity)

    @property
    def ready(self) -> bool:
        """Whether the server answers, as far as is known. Until it does again no requests are taken."""
        return self._health.ready

    async def generate(self, job: Job) -> AsyncGenerator[Chunk]:
        """See `Backend.generate`."""
        check_params(job.params)
        prompt = Prompt.of(job, self._manner)
        text = ServerText(job.resume.text, job.params.stop)
        async with self._slots, aclosing(self._ask(prompt)) as pieces:
            async for piece in pieces:
                chunk = _to_chunk(piece, text, job.resume)
                yield chunk
                if chunk.finish_reason is not None:
                    return

    async def _ask(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        """The pieces of an answer. Until the first one, what fails for the moment is tried again."""
        patience = Patience(self._patience_seconds, self._clock)
        while True:
            begun = False
            try:
                async with aclosing(self._server.stream(prompt.body(self._server_model, self._manner))) as pieces:
                    async for piece in pieces:
                        begun = begun or piece.begun
                        yield piece
                return
            except Failure as failure:
                if isinstance(failure, Refusal) and failure.over_window and not begun:
                    prompt = prompt.shorter(failure, self.model.context_length)
                elif begun or not failure.again or not await patience.wait(failure.retry_after):
                    raise self._explain(failure) from None

    def _explain(self, failure: Failure) -> ParleyError:
        if isinstance(failure, Refusal) and failure.request_at_fault:
            return BadInput(f"the model's server refused: {failure}")
        if isinstance(failure, Refusal) and failure.access:
            log.error("model_server_refuses_key", variable="PARLEY_OPENAI_API_KEY", error=str(failure))
        self._health.suspect(failure)
        return Unavailable(f"the model's server failed: {failure}", failure.retry_after or 1.0)


def _to_chunk(piece: Piece, text: ServerText, resume: Prefix) -> Chunk:
    out = text.push(piece.text)
    usage = piece.usage and _whole(piece.usage, len(resume.token_ids))
    if text.stopped:
        return Chunk(out, piece.token_ids, FinishReason.STOP, usage)
    if piece.finish is None:
        return Chunk(out, piece.token_ids, usage=usage)
    return Chunk(out + text.flush(), piece.token_ids, _reason(piece.finish), usage)


def _whole(usage: Usage, resumed: int) -> Usage:
    """The server took the resumed tokens for a part of the prompt."""
    return Usage(max(0, usage.prompt_tokens - resumed), usage.completion_tokens + resumed, usage.cached_tokens)


def _reason(finish: str) -> FinishReason:
    if finish == "content_filter":
        raise BadInput("the model's server withheld the rest of the answer: content_filter")
    if finish not in _REASONS:
        raise Unavailable(f"the model's server ended the answer: {finish}")
    return _REASONS[finish]

"""Joins what the engine made of an answer to chunks of text. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from parley_worker.core import Chunk, FinishReason, TokenLogprob, Usage
from parley_worker.scheduler.request import Drawn, Output, Request
from parley_worker.text.answer import AnswerText


class Pieces:
    """The answer to one request. pending: text that readers do not hold yet of what an earlier attempt made."""

    def __init__(self, request: Request, text: AnswerText, pending: str) -> None:
        self._request, self._text, self._pending = request, text, pending
        self._prompt_tokens = len(request.token_ids) - request.answered
        self._answered = request.answered
        self._cached: int | None = None

    def add(self, outputs: Sequence[Output]) -> Chunk:
        """The next tokens as one chunk, up to the one that ends the answer. What was made beyond it is dropped."""
        first = self._cached is None
        if self._cached is None:  # of a resumed answer the cache may have had more than the prompt
            self._cached = min(outputs[0].cached_tokens, self._prompt_tokens)
        token_ids: list[int] = []
        logprobs: list[TokenLogprob] = []
        for output in outputs:
            if output.drawn is not None:
                logprobs.extend(_logprobs(output.drawn))
            if reason := self._push(output, token_ids):
                self._pending += self._text.flush()
                break
        self._answered += len(token_ids)
        usage = Usage(self._prompt_tokens, self._answered, self._cached) if first or reason else None
        text, self._pending = self._pending, ""
        return Chunk(text, tuple(token_ids), reason, usage, tuple(logprobs))

    def _push(self, output: Output, token_ids: list[int]) -> FinishReason | None:
        if output.token_id is None:
            raise ValueError("an output without a token")
        token_ids.append(output.token_id)
        if output.token_id not in self._request.stop_ids:
            self._pending += self._text.push(output.token_id)
        return FinishReason.STOP if self._text.stopped else output.finish_reason


def _logprobs(drawn: Drawn) -> Iterator[TokenLogprob]:
    if drawn.logprob is not None:
        yield TokenLogprob(drawn.token_id, drawn.logprob, drawn.best)

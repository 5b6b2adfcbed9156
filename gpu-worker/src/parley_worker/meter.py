"""Measures one attempt at an answer."""

from __future__ import annotations

from parley_kit.clock import Clock
from parley_worker import metrics
from parley_worker.core import Chunk, Usage


class Meter:
    """Starts with the granted claim. What is known only afterwards is counted by `end`."""

    def __init__(self, model: str, clock: Clock) -> None:
        self._model = model
        self._clock = clock
        self._began_at = clock.monotonic()
        self._first_at = self._last_at = 0.0
        self._later_tokens: int | None = None
        self._usage: Usage | None = None

    def add(self, chunk: Chunk) -> None:
        """A piece of the answer came. Where a backend knows no token ids, a text counts as one token."""
        self._usage = chunk.usage or self._usage
        if not (tokens := len(chunk.token_ids) or int(bool(chunk.text))):
            return
        self._last_at = self._clock.monotonic()
        metrics.TOKENS.labels(self._model).inc(tokens)
        if self._later_tokens is None:
            self._first_at, self._later_tokens = self._last_at, 0
            metrics.FIRST_TOKEN.labels(self._model).observe(self._first_at - self._began_at)
        else:
            self._later_tokens += tokens

    def end(self, attempt: int, began: int) -> None:
        """No more comes. began: the attempt that wrote the first code point of the text."""
        if attempt > 1:
            metrics.TAKEOVERS.labels(self._model, "resumed" if began < attempt else "restarted").inc()
        if self._later_tokens:
            metrics.TOKEN_SECONDS.labels(self._model).observe((self._last_at - self._first_at) / self._later_tokens)
        if self._usage is not None:
            metrics.PROMPT_TOKENS.labels(self._model).inc(self._usage.prompt_tokens)
            metrics.CACHED_TOKENS.labels(self._model).inc(self._usage.cached_tokens)

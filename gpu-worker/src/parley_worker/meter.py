"""Measures attempts at answers, and the steps of the engine."""

from __future__ import annotations

from parley_kit.clock import Clock
from parley_worker import metrics
from parley_worker.core import Chunk, Usage
from parley_worker.engine.messages import Ran


class Meter:
    """One attempt at an answer. Starts with the granted claim. What is known only afterwards is counted by `end`."""

    def __init__(self, model: str, clock: Clock) -> None:
        self._model = model
        self._clock = clock
        self._tokens = metrics.TOKENS.labels(model)
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
        self._tokens.inc(tokens)
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


class EngineMeter:
    """Measures the engine's steps: the `Observer` of its client."""

    def __init__(self, model: str) -> None:
        self._seconds = metrics.STEP_SECONDS.labels(model)
        self._decode, self._draft, self._prompt = (
            metrics.ROWS.labels(model, kind) for kind in ("decode", "draft", "prompt")
        )
        self._running, self._waiting = (metrics.SEQUENCES.labels(model, state) for state in ("running", "waiting"))
        self._used, self._cached, self._free = (
            metrics.KV_BLOCKS.labels(model, state) for state in ("used", "cached", "free")
        )
        self._prefix = metrics.PREFIX_TOKENS.labels(model)
        self._preemptions = metrics.PREEMPTIONS.labels(model)
        self._accepted = metrics.DRAFTS_ACCEPTED.labels(model)
        self._deaths = metrics.ENGINE_DEATHS.labels(model)

    def ran(self, step: Ran) -> None:
        """Count a step, if it was one."""
        if (stats := step.stats) is None:
            return
        for _ in range(stats.rounds):
            self._seconds.observe(step.seconds / stats.rounds)
        self._decode.inc(stats.decode_rows - stats.drafts_proposed)
        self._draft.inc(stats.drafts_proposed)
        self._prompt.inc(stats.prompt_rows)
        self._prefix.inc(stats.prefix_hits)
        self._preemptions.inc(stats.preemptions)
        self._accepted.inc(stats.drafts_accepted)
        self._running.set(stats.running)
        self._waiting.set(stats.waiting)
        self._used.set(stats.blocks_used)
        self._cached.set(stats.blocks_cached)
        self._free.set(stats.blocks_total - stats.blocks_used - stats.blocks_cached)

    def died(self) -> None:
        """What it held is gone. How many blocks the next one has is told by its first step."""
        self._deaths.inc()
        for gauge in (self._running, self._waiting, self._used, self._cached, self._free):
            gauge.set(0)

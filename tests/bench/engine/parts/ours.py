"""Parley's engine as the benches drive it: the engine process behind its socket, as the worker uses it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

from bench.engine.parts.load import Answer, Ask

from parley_worker.config import Dtype, EngineConfig
from parley_worker.engine.client import EngineClient
from parley_worker.scheduler.request import Request, Sampling
from parley_worker.testing.sampling import GREEDY


class Ours:
    """Asks `client`; open one with `open_ours`."""

    def __init__(self, client: EngineClient) -> None:
        self.client = client

    async def answer(self, ask: Ask, sampling: Sampling = GREEDY) -> Answer:
        request = Request(ask.prompt, 0, ask.tokens, frozenset(), sampling)
        began = time.perf_counter()
        times: list[float] = []
        ids: list[int | None] = []
        cached = 0
        async with aclosing(self.client.generate(request)) as pieces:
            async for outputs in pieces:
                times.extend([time.perf_counter()] * len(outputs))
                ids.extend(output.token_id for output in outputs)
                cached = max(cached, *(output.cached_tokens for output in outputs))
        return Answer(began, tuple(times), tuple(ids), cached)


@asynccontextmanager
async def open_ours(
    folder: Path, dtype: Dtype, *, threads: int, capacity: int, speculation: bool = False, **settings: Any
) -> AsyncIterator[Ours]:
    """The engine on a checkpoint, without drafts unless told; `settings` are further ones of EngineConfig."""
    config = EngineConfig(folder, dtype=dtype, threads=threads, capacity=capacity, speculation=speculation, **settings)
    async with EngineClient(config) as client:
        yield Ours(client)

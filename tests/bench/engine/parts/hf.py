"""transformers as the benches drive it, in this process: `generate` for one stream, continuous batching for many."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from logging import getLogger
from pathlib import Path
from typing import Any

import torch
from bench.engine.parts.load import Answer, Ask
from transformers import AutoModelForCausalLM, ContinuousBatchingConfig, GenerationConfig
from transformers.generation.streamers import BaseStreamer
from transformers.utils import logging

PAGE_TOKENS = 256
STEP_TOKENS = 512


class Clock(BaseStreamer):
    """Notes when each token comes. The first call brings the prompt."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.ids: list[int] = []

    def put(self, value: torch.Tensor) -> None:
        self.times.append(time.perf_counter())
        self.ids.extend(value.flatten().tolist())

    def end(self) -> None:
        pass


def load(folder: Path, dtype: torch.dtype, threads: int) -> Any:
    """The model, with this many threads for all of torch in this process."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    getLogger("ContinuousBatchingLogger").setLevel("CRITICAL")  # it asks for psutil in vain
    torch.set_num_threads(threads)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


def answer(model: Any, ask: Ask) -> Answer:
    """One greedy answer by `generate` with its default cache."""
    prompt, clock = torch.tensor([ask.prompt]), Clock()
    began = time.perf_counter()
    model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=False,
        min_new_tokens=ask.tokens,
        max_new_tokens=ask.tokens,
        pad_token_id=0,
        streamer=clock,
    )
    return Answer(began, tuple(clock.times[1:]), tuple(clock.ids[len(ask.prompt) :]))


class Batching:
    """Its continuous batching without the server around it, which is to its favour: no HTTP, no JSON, no text.

    Paged attention by SDPA (flash attention needs CUDA), prefix sharing on, steps of at most 512 tokens.
    """

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._numbers = count()

    async def answer(self, ask: Ask) -> Answer:
        name, done = f"ask-{next(self._numbers)}", asyncio.Event()
        times: list[float] = []
        ids: list[int] = []

        def take(output: Any) -> None:
            fresh = output.generated_tokens[len(ids) :]
            ids.extend(fresh)
            times.extend([time.perf_counter()] * len(fresh))
            if output.error or output.is_finished():
                done.set()

        self._manager.register_result_handler(name, take)
        began = time.perf_counter()
        self._manager.add_request(list(ask.prompt), name, max_new_tokens=ask.tokens, streaming=True, eos_token_id=-1)
        await done.wait()
        return Answer(began, tuple(times), tuple(ids))


@asynccontextmanager
async def open_batching(model: Any, *, streams: int, context: int) -> AsyncIterator[Batching]:
    """Room for `streams` sequences of `context` tokens."""
    pages = streams * -(-context // PAGE_TOKENS)
    config = ContinuousBatchingConfig(page_size=PAGE_TOKENS, num_blocks=pages, max_batch_tokens=STEP_TOKENS)
    generation = GenerationConfig(do_sample=False, eos_token_id=-1, pad_token_id=0)
    manager = model.init_continuous_batching(generation_config=generation, continuous_batching_config=config)
    manager.start()
    try:
        yield Batching(manager)
    finally:
        await asyncio.to_thread(manager.stop, timeout=60.0)

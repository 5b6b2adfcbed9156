"""Tokens per second of the torch backend's engine against transformers' generate, side by side on one checkpoint.

Run: .venv/bin/python tests/bench/engine_tokens.py [FOLDER]. Greedy, float32, equal prompts and answer lengths; rounds
alternate between the two, and the ratio is that of the medians. transformers gets one padded static batch, its best
case: its requests all arrive at once and all have the same length.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

import parley_worker
from parley_worker.config import Dtype, EngineConfig
from parley_worker.engine.client import EngineClient
from parley_worker.engine.plan import choose_threads
from parley_worker.models.config import read_model_config
from parley_worker.scheduler.request import Request, Sampling

BUNDLED = Path(parley_worker.__file__).parent / "bundled" / "parley-small"
PROMPT_TOKENS, ANSWER_TOKENS, ROUNDS = 64, 96, 3
GREEDY = Sampling(temperature=0.0, top_k=0, top_p=1.0, repetition_penalty=1.0, seed=0)


async def main(folder: Path) -> None:
    transformers_logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    vocabulary = model.config.vocab_size
    config = EngineConfig(
        folder, dtype=Dtype.FLOAT32, threads=choose_threads(EngineConfig(folder), read_model_config(folder))
    )
    torch.set_num_threads(config.threads or 1)
    print(f"{folder}: {model.num_parameters() / 1e6:.1f} M parameters, {config.threads} threads for both")
    async with EngineClient(config) as client:
        for batch in (1, 8):
            prompts = torch.randint(vocabulary, (batch, PROMPT_TOKENS), generator=torch.Generator().manual_seed(batch))

            async def ours(prompts: torch.Tensor = prompts) -> None:
                rows = [tuple(row) for row in prompts.tolist()]
                await asyncio.gather(*(answer(client, f"{time.monotonic_ns()}-{i}", row) for i, row in enumerate(rows)))

            async def theirs(prompts: torch.Tensor = prompts) -> None:
                generate(model, prompts)

            await compare(batch, ours, theirs)


async def answer(client: EngineClient, name: str, prompt: tuple[int, ...]) -> None:
    request = Request(name, prompt, 0, ANSWER_TOKENS, frozenset(), GREEDY)
    count = sum([len(tokens) async for tokens in client.generate(request)])
    if count != ANSWER_TOKENS:
        raise RuntimeError(f"{count} tokens instead of {ANSWER_TOKENS}")


def generate(model: torch.nn.Module, prompts: torch.Tensor) -> None:
    model.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        do_sample=False,
        min_new_tokens=ANSWER_TOKENS,
        max_new_tokens=ANSWER_TOKENS,
        pad_token_id=0,
    )


async def compare(batch: int, ours: Callable[[], Awaitable[None]], theirs: Callable[[], Awaitable[None]]) -> None:
    await ours()
    await theirs()
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(ROUNDS):
        for name, run in (("ours", ours), ("theirs", theirs)):
            start = time.perf_counter()
            await run()
            seconds[name].append(time.perf_counter() - start)
    rates = {name: batch * ANSWER_TOKENS / statistics.median(values) for name, values in seconds.items()}
    ratio = rates["ours"] / rates["theirs"]
    print(f"batch {batch}: engine {rates['ours']:.0f} tok/s, generate {rates['theirs']:.0f} tok/s, ratio {ratio:.2f}")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else BUNDLED))

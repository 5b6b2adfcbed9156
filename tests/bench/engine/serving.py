"""Many streams at once: tokens a second and time to the first token, ours beside llama.cpp's server and transformers.

    PYTHONPATH=tests .venv/bin/python tests/bench/engine/serving.py [small] [medium]

The same requests for all, in turns: different prompts of U(50, 400) tokens, greedy answers of U(50, 200) tokens, no end
tokens, nothing shared, so many streams kept busy until all are answered. Tokens a second are counted from the first
request to the last token, prompts included in the time. All with the same threads and none speculates.

ours: EngineClient and the engine process with its socket. llama.cpp: the real llama-server of the same source as the
library, continuous batching on as it comes, a slot for each stream, read over HTTP as a stream by a bare reader (what
the reader takes of the two cores is its only handicap; it is well under a twentieth). transformers: its continuous
batching in this process, without `transformers serve` around it, so in its favour; float32, its fastest here, and the
fewest requests and rounds as it is slow.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Any

import torch
from bench.engine.models import MEDIUM, SMALL, Model, ensure_model
from bench.engine.parts import hf, report
from bench.engine.parts.llama import open_llama_server
from bench.engine.parts.load import Ask, Engine, Outcome, drive, median, mixed
from bench.engine.parts.ours import open_ours
from bench.engine.peers import ensure_peers

from parley_worker.config import Dtype

THREADS, STREAMS, CONTEXT = 2, (8, 16), 640
SLOW = "transformers float32"
REQUESTS = {SMALL: 32, MEDIUM: 16}
ROUNDS = {SMALL: 2, MEDIUM: 1}
SLOW_REQUESTS = {SMALL: 16, MEDIUM: 4}


async def open_engines(model: Model, streams: int, stack: AsyncExitStack) -> dict[str, Engine]:
    engines: dict[str, Engine] = {}
    for dtype in (Dtype.INT8, Dtype.FLOAT32):
        opened = open_ours(model.folder, dtype, threads=THREADS, capacity=streams)
        engines[f"ours {dtype.value}"] = (await stack.enter_async_context(opened)).answer
    for kind in ("q8_0", "f32"):
        server = open_llama_server(ensure_peers(), model.gguf(kind), threads=THREADS, streams=streams, context=CONTEXT)
        engines[f"llama.cpp {kind}"] = (await stack.enter_async_context(server)).answer
    loaded = hf.load(model.folder, torch.float32, THREADS)
    batching = await stack.enter_async_context(hf.open_batching(loaded, streams=streams, context=CONTEXT))
    engines[SLOW] = batching.answer
    return engines


async def measure(name: str, streams: int) -> dict[str, Outcome]:
    model = ensure_model(name)
    asks = mixed(REQUESTS[name], model.config["vocab_size"])
    outcomes: dict[str, list[Outcome]] = {}
    async with AsyncExitStack() as stack:
        engines = await open_engines(model, streams, stack)
        for engine in engines.values():
            await engine(Ask(asks[0].prompt, 2))
        for number in range(ROUNDS[name]):
            for label, engine in engines.items():
                if label != SLOW:
                    outcomes.setdefault(label, []).append(await drive(engine, asks, streams))
                elif not number:
                    outcomes[label] = [await drive(engine, asks[: SLOW_REQUESTS[name]], streams)]
    return {label: median(some) for label, some in outcomes.items()}


def show(title: str, outcomes: dict[str, Outcome]) -> None:
    int8, exact = outcomes["ours int8"].rate, outcomes["ours float32"].rate
    rows = [
        (label, each.rate, int8 / each.rate, exact / each.rate, each.first * 1000, each.first_worst * 1000)
        for label, each in outcomes.items()
    ]
    head = ("tokens/s", "ours int8 / this", "ours float32 / this", "first token p50 ms", "worst ms")
    report.table((title, *head), rows)


async def main(names: list[str]) -> None:
    results: dict[str, dict[str, Any]] = {}
    for name in names:
        for streams in STREAMS:
            outcomes = await measure(name, streams)
            show(f"{name}, {streams} streams", outcomes)
            results.setdefault(name, {})[str(streams)] = {label: asdict(each) for label, each in outcomes.items()}
    report.save("serving", {"models": results})


if __name__ == "__main__":
    chosen = {"small": SMALL, "medium": MEDIUM}
    asyncio.run(main([chosen[each] for each in sys.argv[1:]] or [SMALL, MEDIUM]))

"""Many streams at once: tokens a second and time to the first token, ours beside llama.cpp's server and transformers.

    PYTHONPATH=tests .venv/bin/python tests/bench/engine/serving.py [small] [medium] [--streams 8 16]

The same requests for all, in turns: prompts of U(50, 400) tokens, greedy answers of U(50, 200) tokens, no end tokens.
No prompt comes twice to an engine, so no cache helps. So many streams are kept busy until all is answered; tokens a
second are counted from the first request to the last token, the prompts' time included. The same threads for all; none
speculates.

ours: EngineClient and the engine process with its socket. llama.cpp: the real llama-server, of the same source as the
library, continuous batching on as it comes, a slot for each stream, without its copies of old prompts, read over HTTP
as a stream by a bare reader. transformers: its continuous batching in this process, without `transformers serve` around
it, which is in its favour; in float32, and once only, as it is slow. The medium model is measured in 8 bits alone,
once, with answers of U(25, 100) tokens, and beside transformers at 16 streams only: more would take too long.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import asdict

import torch
from bench.engine.models import MEDIUM, SMALL, Model, ensure_model
from bench.engine.parts import hf, report
from bench.engine.parts.llama import open_llama_server
from bench.engine.parts.load import Answers, Ask, Outcome, drive, median, mixed, words
from bench.engine.parts.ours import open_ours
from bench.engine.peers import ensure_peers

from parley_worker.config import Dtype

THREADS, STREAMS, CONTEXT, REQUESTS = 2, (8, 16), 640, 16
PLANS = {SMALL: (2, 200), MEDIUM: (1, 100)}
"""Rounds, and the tokens of the longest answers."""
FAST = ("ours int8", "llama.cpp q8_0")
EXACT = ("ours float32", "llama.cpp f32")
SLOW = "transformers float32"


def lineup(name: str, streams: int) -> tuple[str, ...]:
    """Who is measured: what would take minutes is left out."""
    if name == SMALL:
        return (*FAST, *EXACT, SLOW)
    return (*FAST, SLOW) if streams == max(STREAMS) else FAST


def open_engine(label: str, model: Model, streams: int) -> AbstractAsyncContextManager[Answers]:
    engine, kind = label.split()
    match engine:
        case "ours":
            return open_ours(model.folder, Dtype(kind), threads=THREADS, capacity=streams)
        case "llama.cpp":
            options = {"threads": THREADS, "streams": streams, "context": CONTEXT}
            return open_llama_server(ensure_peers(), model.gguf(kind), **options, keep=False)
    return hf.open_batching(hf.load(model.folder, torch.float32, THREADS), streams=streams, context=CONTEXT)


async def measure(name: str, streams: int) -> dict[str, Outcome]:
    model, labels, (rounds, longest) = ensure_model(name), lineup(name, streams), PLANS[name]
    vocabulary = model.config["vocab_size"]
    outcomes: dict[str, list[Outcome]] = {label: [] for label in labels}
    async with AsyncExitStack() as stack:
        engines = {label: await stack.enter_async_context(open_engine(label, model, streams)) for label in labels}
        for engine in engines.values():
            await engine.answer(Ask(words(64, vocabulary), 4))
        report.progress(f"{name}, {streams} streams: all are open")
        for number in range(rounds):
            asks = mixed(REQUESTS, vocabulary, seed=number, longest=longest)
            for label in labels if not number else FAST:
                outcomes[label].append(await drive(engines[label].answer, asks, streams))
                report.progress(f"{number + 1}/{rounds} {label}: {outcomes[label][-1].rate:.1f} tokens/s")
    return {label: median(some) for label, some in outcomes.items()}


def show(title: str, outcomes: dict[str, Outcome]) -> None:
    ours = {label: outcomes[label].rate for label in ("ours int8", "ours float32") if label in outcomes}
    rows = [
        (label, each.rate, *(rate / each.rate for rate in ours.values()), each.first * 1000, each.first_worst * 1000)
        for label, each in outcomes.items()
    ]
    ratios = [f"{label} / this" for label in ours]
    report.table((title, "tokens/s", *ratios, "first token p50 ms", "worst ms"), rows)


async def main(names: list[str], streams: list[int]) -> None:
    for name in names:
        levels = {}
        for each in streams:
            outcomes = await measure(name, each)
            show(f"{name}, {each} streams", outcomes)
            levels[str(each)] = {label: asdict(outcome) for label, outcome in outcomes.items()}
        report.save(f"serving-{name}", {"longest_answer": PLANS[name][1], "levels": levels})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", help="small, medium; default: both")
    parser.add_argument("--streams", type=int, nargs="+", default=STREAMS)
    given = parser.parse_args()
    chosen = {"small": SMALL, "medium": MEDIUM}
    asyncio.run(main([chosen[each] for each in given.models] or [SMALL, MEDIUM], given.streams))

"""What drafts by prompt lookup win and lose: tokens a second with and without them, at 1 to 8 streams.

    PYTHONPATH=tests .venv/bin/python tests/bench/engine/speculation.py [small|medium]

Repetitive text: greedy answers of a model of random weights, which soon repeat themselves: the best case for drafts.
Random text: the same sampled at temperature 1, where nearly every word is new: the worst case, in which speculation
should cost nothing. The two engines take turns, and both give the same tokens, which is checked.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import time
from dataclasses import replace

from bench.engine.models import MEDIUM, SMALL, ensure_model
from bench.engine.parts import report
from bench.engine.parts.load import Ask, words
from bench.engine.parts.ours import GREEDY, Ours, open_ours

from parley_worker.config import Dtype
from parley_worker.scheduler.request import Sampling

THREADS, ROUNDS, PROMPT, TOKENS = 2, 3, 128, 96
STREAMS = (1, 2, 4, 8)
SAMPLED = replace(GREEDY, temperature=1.0, seed=7)


async def run(engine: Ours, asks: list[Ask], sampling: Sampling) -> tuple[float, list[object]]:
    """Tokens a second, and the tokens."""
    began = time.perf_counter()
    answers = await asyncio.gather(*(engine.answer(ask, sampling) for ask in asks))
    seconds = time.perf_counter() - began
    return sum(ask.tokens for ask in asks) / seconds, [answer.ids for answer in answers]


async def compare(plain: Ours, drafting: Ours, asks: list[Ask], sampling: Sampling) -> tuple[float, float]:
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        (without, expected), (with_drafts, tokens) = (
            await run(plain, asks, sampling),
            await run(drafting, asks, sampling),
        )
        if tokens != expected:
            raise RuntimeError("speculation changed an answer")
        rates[0].append(without)
        rates[1].append(with_drafts)
    return statistics.median(rates[0]), statistics.median(rates[1])


async def main(name: str) -> None:
    model, rng, results = ensure_model(name), random.Random(0), []
    async with (
        open_ours(model.folder, Dtype.INT8, threads=THREADS, capacity=max(STREAMS)) as plain,
        open_ours(model.folder, Dtype.INT8, threads=THREADS, capacity=max(STREAMS), speculation=True) as drafting,
    ):
        for text, sampling in (("repetitive", GREEDY), ("random", SAMPLED)):
            for streams in STREAMS:
                asks = [Ask(words(PROMPT, model.config["vocab_size"], rng), TOKENS) for _ in range(streams)]
                without, with_drafts = await compare(plain, drafting, asks, sampling)
                results.append({"text": text, "streams": streams, "without": without, "with": with_drafts})
    rows = [
        (each["text"], each["streams"], each["without"], each["with"], each["with"] / each["without"])
        for each in results
    ]
    report.table((f"{name}, text", "streams", "without tok/s", "with tok/s", "ratio"), rows)
    report.save("speculation", {"model": name, "results": results})


if __name__ == "__main__":
    asyncio.run(main({"small": SMALL, "medium": MEDIUM}[sys.argv[1] if len(sys.argv) > 1 else "small"]))

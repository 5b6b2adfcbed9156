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
from dataclasses import replace

from bench.engine.models import MEDIUM, SMALL, ensure_model
from bench.engine.parts import report
from bench.engine.parts.load import Ask, words
from bench.engine.parts.ours import Ours, open_ours

from parley_worker.config import Dtype
from parley_worker.scheduler.request import Sampling
from parley_worker.testing.sampling import GREEDY

THREADS, ROUNDS, PROMPT, TOKENS = 2, 3, 128, 96
STREAMS = (1, 2, 4, 8)
SAMPLED = replace(GREEDY, temperature=1.0, seed=7)


async def run(engine: Ours, asks: list[Ask], sampling: Sampling) -> tuple[float, list[object]]:
    """Tokens a second once all have their first, and the tokens."""
    answers = await asyncio.gather(*(engine.answer(ask, sampling) for ask in asks))
    began = max(answer.times[0] for answer in answers)
    later = [moment for answer in answers for moment in answer.times if moment > began]
    return len(later) / (max(later) - began), [answer.ids for answer in answers]


async def compare(
    plain: Ours, drafting: Ours, streams: int, vocabulary: int, sampling: Sampling
) -> tuple[float, float]:
    """Tokens a second without and with drafts. No prompt comes twice: drafts learn from all that was said."""
    rates: tuple[list[float], list[float]] = ([], [])
    for number in range(ROUNDS):
        rng = random.Random(f"{streams} {number} {sampling.temperature}")
        asks = [Ask(words(PROMPT, vocabulary, rng), TOKENS) for _ in range(streams)]
        (without, expected), (drafted, tokens) = await run(plain, asks, sampling), await run(drafting, asks, sampling)
        if tokens != expected:
            raise RuntimeError("speculation changed an answer")
        rates[0].append(without)
        rates[1].append(drafted)
    return statistics.median(rates[0]), statistics.median(rates[1])


async def main(name: str) -> None:
    model, results = ensure_model(name), []
    options = {"threads": THREADS, "capacity": max(STREAMS)}
    async with (
        open_ours(model.folder, Dtype.INT8, **options) as plain,
        open_ours(model.folder, Dtype.INT8, **options, speculation=True) as drafting,
    ):
        for text, sampling in (("repetitive", GREEDY), ("random", SAMPLED)):
            for streams in STREAMS:
                rates = await compare(plain, drafting, streams, model.config["vocab_size"], sampling)
                results.append({"text": text, "streams": streams, "without": rates[0], "with": rates[1]})
    rows = [
        (each["text"], each["streams"], each["without"], each["with"], each["with"] / each["without"])
        for each in results
    ]
    report.table((f"{name}, text", "streams", "without tok/s", "with tok/s", "ratio"), rows)
    report.save("speculation", {"model": name, "results": results})


if __name__ == "__main__":
    asyncio.run(main({"small": SMALL, "medium": MEDIUM}[sys.argv[1] if len(sys.argv) > 1 else "small"]))

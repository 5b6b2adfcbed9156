"""A short request that comes while others decode: how long to its first token, and what steps it waited for.

    PYTHONPATH=tests .venv/bin/python tests/bench/engine/arrivals.py [small|medium]

An engine process as it serves, beside it nothing, and then so many answers in the making. Requests of a few tokens come
one after the other at random times. At best such a request waits for the step under way and for the one that computes
it: "steps" are those that ended between the request and its first token.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.engine.models import MEDIUM, SMALL, Model, ensure_model
from bench.engine.parts import report
from bench.engine.parts.load import Answer, Ask, words
from bench.engine.parts.ours import Ours
from bench.engine.parts.timed import Step, open_timed, read_steps

from parley_worker.config import Dtype

THREADS, OTHERS, SIZES, ARRIVALS = 2, (0, 16), (1, 16, 64), 20
PROMPT, LONG = 128, 1500


async def arrive(ours: Ours, size: int, vocabulary: int, rng: random.Random) -> list[Answer]:
    answers = []
    for _ in range(ARRIVALS):
        await asyncio.sleep(rng.uniform(0.0, 0.03))
        answers.append(await ours.answer(Ask(words(size, vocabulary, rng), 1)))
    return answers


async def run(model: Model, others: int) -> list[dict[str, Any]]:
    rng, vocabulary = random.Random(others), model.config["vocab_size"]
    with tempfile.TemporaryDirectory() as folder:
        steps = Path(folder) / "steps"
        async with open_timed(model.folder, Dtype.INT8, steps, threads=THREADS, capacity=others + 1) as ours:
            await ours.answer(Ask(words(PROMPT, vocabulary, rng), 4))
            asks = [Ask(words(PROMPT, vocabulary, rng), LONG) for _ in range(others)]
            async with asyncio.TaskGroup() as group:
                busy = [group.create_task(ours.answer(ask)) for ask in asks]
                if others:
                    await ours.answer(Ask(words(PROMPT, vocabulary, rng), 32))  # behind it all decode
                found = {size: await arrive(ours, size, vocabulary, rng) for size in SIZES}
                if any(task.done() for task in busy):
                    raise RuntimeError("the others were done too soon")
                for task in busy:
                    task.cancel()
        done = read_steps(steps)
    return [{"others": others, "size": size, **account(answers, done)} for size, answers in found.items()]


def account(answers: Sequence[Answer], steps: Sequence[Step]) -> dict[str, float]:
    """Seconds to the first token, and how many steps that took at most."""
    firsts = [answer.first for answer in answers]
    waited = [sum(step.end > a.began and step.end <= a.times[0] for step in steps) for a in answers]
    return {"first": statistics.median(firsts), "worst": max(firsts), "steps": max(waited)}


async def main(name: str) -> None:
    model = ensure_model(name)
    results = [result for others in OTHERS for result in await run(model, others)]
    rows = [(r["size"], r["others"], r["first"] * 1000, r["worst"] * 1000, r["steps"]) for r in results]
    report.table((f"{name}: tokens of a prompt", "others", "first token p50 ms", "worst ms", "most steps"), rows)
    report.save("arrivals", {"model": name, "results": results})


if __name__ == "__main__":
    asyncio.run(main({"small": SMALL, "medium": MEDIUM}[sys.argv[1] if len(sys.argv) > 1 else "small"]))

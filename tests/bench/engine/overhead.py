"""What a token takes outside of the kernels: scheduling, arrays, the socket, by how many sequences share a step.

    PYTHONPATH=tests .venv/bin/python tests/bench/engine/overhead.py [small|medium]

An engine process as it serves, with a clock around the decoder's native call alone, and its client in this process on
the same two cores. Counted are the steps that only decode, with so many sequences: from the end of one call to the
begin of the next is overhead, which the rounds of a call share. The draws are in the call.
Greedy, and sampled with temperature, top-k and top-p.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
from itertools import pairwise
from operator import truediv
from pathlib import Path
from typing import Any

from bench.engine.models import MEDIUM, SMALL, Model, ensure_model
from bench.engine.parts import report
from bench.engine.parts.load import Ask, words
from bench.engine.parts.timed import Step, open_timed, read_steps

from parley_worker.config import Dtype
from parley_worker.scheduler.request import Sampling
from parley_worker.testing.sampling import GREEDY

THREADS, PROMPT, TOKENS, STEP_TOKENS = 2, 128, 64, 1024
BATCHES = (1, 8, 16, 64)
SAMPLED = Sampling(temperature=0.8, top_k=50, top_p=0.95, repetition_penalty=1.0, seed=1)


async def run(model: Model, batch: int, sampling: Sampling) -> dict[str, float]:
    rng = random.Random(batch)
    asks = [Ask(words(PROMPT, model.config["vocab_size"], rng), TOKENS) for _ in range(batch)]
    with tempfile.TemporaryDirectory() as folder:
        steps = Path(folder) / "steps"
        settings = {"threads": THREADS, "capacity": batch, "step_tokens": STEP_TOKENS}
        async with open_timed(model.folder, Dtype.INT8, steps, **settings) as ours:
            await asyncio.gather(*(ours.answer(ask, sampling) for ask in asks))
        return account(read_steps(steps), batch)


def account(steps: list[Step], batch: int) -> dict[str, float]:
    """Of neighbouring calls that both decode `batch` sequences: seconds of a round, of its overhead, and the share."""
    pairs = [(one, other) for one, other in pairwise(steps) if one[:2] == other[:2] == (batch, batch)]
    whole = [other.begin - one.begin for one, other in pairs]
    outside = [other.begin - one.end for one, other in pairs]
    rounds = [one.rounds for one, _ in pairs]
    step = statistics.median(map(truediv, whole, rounds))
    return {
        "rate": batch / step,
        "step": step,
        "outside": statistics.median(map(truediv, outside, rounds)),
        "share": sum(outside) / sum(whole),
    }


async def main(name: str) -> None:
    model, results = ensure_model(name), list[dict[str, Any]]()
    for kind, sampling in (("greedy", GREEDY), ("sampled", SAMPLED)):
        for batch in BATCHES:
            results.append({"sampling": kind, "batch": batch, **await run(model, batch, sampling)})
    rows = [
        (each["sampling"], each["batch"], each["rate"], each["step"] * 1000, each["outside"] * 1000, each["share"])
        for each in results
    ]
    report.table((name, "batch", "tokens/s", "step ms", "outside ms", "share outside"), rows)
    report.save("overhead", {"model": name, "results": results})


if __name__ == "__main__":
    asyncio.run(main({"small": SMALL, "medium": MEDIUM}[sys.argv[1] if len(sys.argv) > 1 else "small"]))

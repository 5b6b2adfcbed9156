"""One stream: tokens a second of our engine, llama.cpp and transformers against what the memory allows.

    PYTHONPATH=tests .venv/bin/python tests/bench/engine/decode.py [small] [medium]

Each engine answers a prompt of 200 tokens greedily, in turns, all with the same threads; counted is from the first
token to the last. llama.cpp runs its library's own loop in a process of its own, transformers `generate` in this one,
ours the engine process behind its socket, which is how it serves; speculation is off. The limit: the bytes of all
matrices and of the keys and values that a token must read, each engine in its own format, over the bandwidth that a C
program reads with here, measured in turns with the engines, as it changes with what other machines on the host do.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import torch
from bench.engine import limit
from bench.engine.models import MEDIUM, SMALL, Model, ensure_model
from bench.engine.parts import hf, report
from bench.engine.parts.llama import LlamaLoop
from bench.engine.parts.load import Answer, Ask, Engine, words
from bench.engine.parts.ours import open_ours
from bench.engine.peers import ensure_peers

from parley_worker.config import Dtype

THREADS, ROUNDS, CONTEXT = 2, 5, 512
PROMPT, TOKENS = 200, 48


@dataclass(frozen=True, slots=True)
class Contender:
    """`weight` and `kv`: bytes of each weight and of each number in the cache."""

    name: str
    answer: Engine
    weight: float
    kv: int


async def contenders(model: Model, stack: AsyncExitStack) -> list[Contender]:
    found = []
    # In float32 the native executor keeps the 16 bits of the file and widens them as it multiplies, which is exact.
    for dtype, weight, kv in ((Dtype.INT8, 1.0, 2), (Dtype.FLOAT32, 2.0, 4)):
        ours = await stack.enter_async_context(open_ours(model.folder, dtype, threads=THREADS, capacity=1))
        found.append(Contender(f"ours {dtype.value}", ours.answer, weight, kv))
    for kind, weight in (("q8_0", 34 / 32), ("f32", 4.0), ("bf16", 2.0)):
        loop = stack.enter_context(LlamaLoop(ensure_peers(), model.gguf(kind), threads=THREADS, context=CONTEXT))
        found.append(Contender(f"llama.cpp {kind}", _looped(loop), weight, 2))
    for dtype, width in ((torch.float32, 4), (torch.bfloat16, 2)):
        name = f"transformers {str(dtype).removeprefix('torch.')}"
        found.append(Contender(name, _generated(hf.load(model.folder, dtype, THREADS)), width, width))
    return found


def _looped(loop: LlamaLoop) -> Engine:
    async def answer(ask: Ask) -> Answer:
        told = await asyncio.to_thread(loop.answer, ask.prompt, ask.tokens)
        return Answer(0.0, (told["first"], *[told["seconds"]] * (ask.tokens - 1)), tuple(told["ids"]))

    return answer


def _generated(model: Any) -> Engine:
    async def answer(ask: Ask) -> Answer:
        return await asyncio.to_thread(hf.answer, model, ask)

    return answer


async def measure(name: str) -> tuple[float, list[dict[str, Any]]]:
    model, rates = ensure_model(name), {}
    bandwidths = []
    rng = random.Random(0)
    async with AsyncExitStack() as stack:
        found = await contenders(model, stack)
        for number in range(ROUNDS + 1):
            bandwidths.append(limit.bandwidth(THREADS))
            ask = Ask(words(PROMPT, model.config["vocab_size"], rng), TOKENS if number else 4)
            for each in found:
                rate = (await each.answer(ask)).decode_rate
                if number:
                    rates.setdefault(each.name, []).append(rate)
    gigabytes = statistics.median(bandwidths)
    return gigabytes, [_result(model, each, statistics.median(rates[each.name]), gigabytes) for each in found]


def _result(model: Model, each: Contender, rate: float, gigabytes: float) -> dict[str, Any]:
    read = model.matrix_weights * each.weight + (PROMPT + TOKENS / 2) * model.kv_numbers * each.kv
    bound = gigabytes * 1e9 / read
    return {"engine": each.name, "rate": rate, "limit": bound, "of_limit": rate / bound}


def show(name: str, results: list[dict[str, Any]]) -> None:
    int8, exact = results[0]["rate"], results[1]["rate"]
    rows = [
        (each["engine"], each["rate"], each["of_limit"], int8 / each["rate"], exact / each["rate"]) for each in results
    ]
    report.table((name, "tokens/s", "of limit", "ours int8 / this", "ours float32 / this"), rows)


async def main(names: list[str]) -> None:
    for name in names:
        gigabytes, results = await measure(name)
        print(f"{THREADS} threads read {gigabytes:.1f} GB/s; prompt {PROMPT}, answer {TOKENS}, {ROUNDS} rounds")
        show(name, results)
        report.save(f"decode-{name}", {"gigabytes_per_second": gigabytes, "results": results})


if __name__ == "__main__":
    chosen = {"small": SMALL, "medium": MEDIUM}
    asyncio.run(main([chosen[each] for each in sys.argv[1:]] or [SMALL, MEDIUM]))

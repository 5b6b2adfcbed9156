"""One stream: tokens a second of our engine, llama.cpp and transformers against what the memory allows.

    PYTHONPATH=tests .venv/bin/python tests/bench/engine/decode.py [small] [medium] [--rounds N]

Each engine answers a prompt of 200 tokens greedily, in turns, all with the same threads; counted is from the first
token to the last. llama.cpp runs its library's own loop in a process of its own, transformers `generate` in this one,
ours the engine process behind its socket, which is how it serves; speculation is off. "executor" is of the same answers
of ours the time within the calls of the library alone: what is between it and the engine is lost outside of kernels.

The limit: the bytes of all matrices and of the keys and values that a token must read, each engine in its own format,
over the bandwidth that a C program reads with right before and after each turn: on a shared host it may be half as much
for some tenths of a second, and then whole again. "of limit" takes the median burst around each turn, "of best" the
best burst of the whole run. Where the two differ much, only medians over many turns say something.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from bench.engine.models import MEDIUM, SMALL, Model, ensure_model
from bench.engine.parts import hf, report
from bench.engine.parts.bandwidth import Bandwidth, Reader, open_reader
from bench.engine.parts.llama import LlamaLoop
from bench.engine.parts.load import Answer, Ask, Engine, words
from bench.engine.parts.timed import Step, open_timed, read_steps
from bench.engine.peers import ensure_peers

from parley_worker.config import Dtype

THREADS, CONTEXT, PROMPT = 2, 512, 200
READ_SECONDS, SETTLE_SECONDS = 0.12, 0.03
PLANS = {SMALL: (12, 48), MEDIUM: (6, 24)}
"""Rounds, and tokens of an answer."""


@dataclass(frozen=True, slots=True)
class Turn:
    """An answer, and what bursts of reading right before and after it reached, in GB/s."""

    answer: Answer
    bursts: Sequence[float]


@dataclass(frozen=True, slots=True)
class Contender:
    """`weight` and `kv`: bytes of each weight and of each number in the cache; `steps`: where ours writes its own.

    It takes its turn in every `every`th round: the slow ones would take most of the time otherwise.
    """

    name: str
    answer: Engine
    weight: float
    kv: int
    steps: Path | None = None
    every: int = 1
    turns: list[Turn] = field(default_factory=list)

    async def take_turn(self, ask: Ask, reader: Reader) -> Turn:
        before = reader.read(READ_SECONDS)
        answer = await self.answer(ask)
        await asyncio.sleep(SETTLE_SECONDS)  # threads that wait for their next product spin for a while
        return Turn(answer, [*before, *reader.read(READ_SECONDS)])


async def contenders(model: Model, folder: Path, stack: AsyncExitStack) -> list[Contender]:
    found = []
    peers = ensure_peers()
    # In float32 the native executor keeps the 16 bits of the file and widens them as it multiplies, which is exact.
    for dtype, weight, kv in ((Dtype.INT8, 1.0, 2), (Dtype.FLOAT32, 2.0, 4)):
        steps = folder / dtype.value
        ours = await stack.enter_async_context(open_timed(model.folder, dtype, steps, threads=THREADS, capacity=1))
        found.append(Contender(f"ours {dtype.value}", ours.answer, weight, kv, steps))
        report.progress(f"{found[-1].name} is open")
    for kind, weight in (("q8_0", 34 / 32), ("f32", 4.0), ("bf16", 2.0)):
        loop = stack.enter_context(LlamaLoop(peers, model.gguf(kind), threads=THREADS, context=CONTEXT))
        found.append(Contender(f"llama.cpp {kind}", _looped(loop), weight, 2))
        report.progress(f"{found[-1].name} is open")
    for kept, width in ((torch.float32, 4), (torch.bfloat16, 2)):
        name = f"transformers {str(kept).removeprefix('torch.')}"
        found.append(Contender(name, _generated(hf.load(model.folder, kept, THREADS)), width, width, every=3))
        report.progress(f"{found[-1].name} is open")
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


async def measure(model: Model, rounds: int, tokens: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            reader = stack.enter_context(open_reader(THREADS))
            found = await contenders(model, Path(folder), stack)
            await take_turns(found, model, reader, rounds, tokens)
        best = max(burst for each in found for turn in each.turns for burst in turn.bursts)
        bursts = Bandwidth.of([burst for each in found for turn in each.turns for burst in turn.bursts])
        results = [result for each in found for result in evaluate(each, model, tokens, best)]
    return {"gigabytes_per_second": asdict(bursts), "rounds": rounds, "tokens": tokens, "results": results}


async def take_turns(found: list[Contender], model: Model, reader: Reader, rounds: int, tokens: int) -> None:
    """One round to warm up, and those that count."""
    rng = random.Random(0)
    for number in range(rounds + 1):
        ask = Ask(words(PROMPT, model.config["vocab_size"], rng), tokens if number else 4)
        for each in found:
            if number and (number - 1) % each.every:
                continue
            turn = await each.take_turn(ask, reader)
            if number:
                each.turns.append(turn)
                report.progress(f"{number}/{rounds} {each.name}: {turn.answer.decode_rate:.1f} tokens/s")


def evaluate(each: Contender, model: Model, tokens: int, best: float) -> list[dict[str, Any]]:
    """The engine's result; of ours also that of its executor alone."""
    read = model.matrix_weights * each.weight + (PROMPT + tokens / 2) * model.kv_numbers * each.kv
    results = [result(each.name, [turn.answer.decode_rate for turn in each.turns], each.turns, read, best)]
    if each.steps is not None:
        steps = read_steps(each.steps)
        rates = [executed(steps, turn.answer) for turn in each.turns]
        results.append(result(f"{each.name} executor", rates, each.turns, read, best))
    return results


def executed(steps: Sequence[Step], answer: Answer) -> float:
    """Tokens a second after the first, if nothing took time but the executor."""
    taken = [step for step in steps if answer.times[0] < step.end <= answer.times[-1]]
    tokens = sum(step.rounds for step in taken)
    if tokens != len(answer.times) - 1:
        raise RuntimeError(f"{tokens} rounds made {len(answer.times) - 1} tokens")
    return tokens / sum(step.end - step.begin for step in taken)


def result(name: str, rates: list[float], turns: list[Turn], read: float, best: float) -> dict[str, Any]:
    bounds = [statistics.median(turn.bursts) * 1e9 / read for turn in turns]
    return {
        "engine": name,
        "rate": statistics.median(rates),
        "limit": statistics.median(bounds),
        "of_limit": statistics.median(rate / bound for rate, bound in zip(rates, bounds, strict=True)),
        "of_best": statistics.median(rates) * read / (best * 1e9),
    }


def show(name: str, told: dict[str, Any]) -> None:
    bursts = told["gigabytes_per_second"]
    print(f"{THREADS} threads read {bursts['typical']:.1f} GB/s, at best {bursts['best']:.1f}")
    print(f"prompt {PROMPT}, answer {told['tokens']}, {told['rounds']} rounds")
    rates = {each["engine"]: each["rate"] for each in told["results"]}
    rows = [
        (name, rate, each["of_limit"], each["of_best"], rates["ours int8"] / rate, rates["ours float32"] / rate)
        for each in told["results"]
        for name, rate in ((each["engine"], each["rate"]),)
    ]
    report.table((name, "tokens/s", "of limit", "of best", "ours int8 / this", "ours float32 / this"), rows)


async def main(names: list[str], rounds: int | None) -> None:
    for name in names:
        usual, tokens = PLANS[name]
        told = await measure(ensure_model(name), rounds or usual, tokens)
        show(name, told)
        report.save(f"decode-{name}", told)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", help="small, medium; default: both")
    parser.add_argument("--rounds", type=int)
    given = parser.parse_args()
    chosen = {"small": SMALL, "medium": MEDIUM}
    asyncio.run(main([chosen[each] for each in given.models] or [SMALL, MEDIUM], given.rounds))

"""The whole worker against its bare engine at 64 streams: what bus, claims, streams and text cost.

    PYTHONPATH=tests .venv/bin/python tests/bench/engine/worker.py

The worker runs between a memory bus, memory streams and the owner of generations behind real gRPC, all in this process,
as in the embedded platform: requests come off the bus, are claimed, templated and tokenised; tokens become text, go to
the streams as deltas, and each answer ends with an event. The bare engine gets the same prompts as token ids and
answers as many tokens. Each has its engine process; they take turns.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import string
import time

from bench.engine.models import SMALL, ensure_model
from bench.engine.parts import report
from bench.engine.parts.load import Ask, drive
from bench.engine.parts.ours import Ours, open_ours

from parley_bus.events import from_record
from parley_kit.clock import SystemClock
from parley_proto.events.v1 import events_pb2 as events
from parley_worker.backends.torch import TorchBackend, open_torch_backend
from parley_worker.config import Dtype, EngineConfig
from parley_worker.core import ChatMessage
from parley_worker.testing.platform import Platform, open_platform

THREADS, STREAMS, ROUNDS, TOKENS, CHARACTERS = 2, 64, 3, 100, 150
SILENCE_SECONDS = 60.0


async def through_worker(platform: Platform, questions: list[str]) -> float:
    """Tokens a second."""
    began = time.perf_counter()
    for question in questions:
        await platform.ask(question, seconds=600.0, max_tokens=TOKENS, temperature=0.0)
    ends = await ended(platform, len(questions))
    seconds = time.perf_counter() - began
    return sum(end.usage.completion_tokens for end in ends) / seconds


async def ended(platform: Platform, count: int) -> list[events.GenerationCompleted]:
    ends: list[events.GenerationCompleted] = []
    while len(ends) < count:
        for delivery in await platform.ends.fetch(count, timeout=SILENCE_SECONDS):
            end = from_record(delivery.record)
            await platform.ends.settle(delivery)
            if not isinstance(end, events.GenerationCompleted):
                raise RuntimeError(f"an answer failed: {end}")
            ends.append(end)
    return ends


async def bare(engine: Ours, backend: TorchBackend, questions: list[str]) -> float:
    prompts = [await backend.encode_chat([ChatMessage("user", question)]) for question in questions]
    outcome = await drive(engine.answer, [Ask(prompt, TOKENS) for prompt in prompts], STREAMS)
    return outcome.rate


async def main() -> None:
    model, rng = ensure_model(SMALL), random.Random(0)
    config = EngineConfig(model.folder, dtype=Dtype.INT8, threads=THREADS, capacity=STREAMS)
    rates: dict[str, list[float]] = {"bare": [], "worker": []}
    async with (
        open_ours(model.folder, Dtype.INT8, threads=THREADS, capacity=STREAMS) as engine,
        open_torch_backend(config, "bench") as backend,
        open_platform(SystemClock(), "bench") as platform,
        platform.worker(backend),
    ):
        for number in range(ROUNDS + 1):
            questions = ["".join(rng.choices(string.ascii_lowercase, k=CHARACTERS)) for _ in range(STREAMS)]
            found = {
                "bare": await bare(engine, backend, questions),
                "worker": await through_worker(platform, questions),
            }
            for name, rate in found.items() if number else ():
                rates[name].append(rate)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    ratio = medians["worker"] / medians["bare"]
    report.table((f"{STREAMS} streams", "tokens/s"), [*medians.items(), ("worker / bare", ratio)])
    report.save("worker", {"model": SMALL, "streams": STREAMS, "rates": medians, "ratio": ratio})


if __name__ == "__main__":
    asyncio.run(main())

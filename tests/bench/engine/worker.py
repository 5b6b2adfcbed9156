"""The whole worker against its bare engine at 64 streams: what bus, claims, streams and text cost.

    PYTHONPATH=tests .venv/bin/python tests/bench/engine/worker.py [memory] [cluster] [--rounds N]

Requests come off the bus, are claimed by gRPC, templated and tokenised; tokens become text, go to the streams as
deltas, and each answer ends with an event. The bare engine gets the same prompts as token ids and answers as many
tokens. Each has its engine process; they take turns.

memory: the worker runs between a memory bus, memory streams and the owner of generations behind real gRPC, all in this
process, as in the embedded platform. cluster: the worker is a process of its own between Kafka and Redis; this process
is the owner of generations, puts requests on their topic and takes the ends from theirs.

All of it shares the machine's cores, which the bare engine has to itself. So the processor seconds of each process are
told, and two ratios: as it is, and with what servers (and client) took, spread evenly over the cores, off the time. The
second is an estimate, and rather too low: a step whose one thread has to wait for a server waits on all cores.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import string
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.engine.models import SMALL, Model, ensure_model
from bench.engine.parts import report
from bench.engine.parts.load import Ask, drive
from bench.engine.parts.ours import Ours, open_ours
from bench.engine.parts.worker_process import open_worker_process, start_servers
from support.usage import children, cpu_seconds

from parley_bus.events import from_record
from parley_bus.kafka import KafkaSettings, open_kafka
from parley_kit.clock import SystemClock
from parley_proto.events.v1 import events_pb2 as events
from parley_worker.backends.torch import open_torch_backend
from parley_worker.config import Dtype, EngineConfig
from parley_worker.core import ChatMessage
from parley_worker.testing.platform import TOKEN, Platform, open_platform
from parley_worker.text.tokenizer import TextTokenizer

THREADS, STREAMS, ROUNDS, CHARACTERS = 2, 64, 5, 150
TOKENS, WARM_UP_TOKENS = 100, 8
NAME = "bench"
SILENCE_SECONDS = 60.0
CLIENT, SERVERS = "owner and client", ("kafka", "redis")


@dataclass(frozen=True, slots=True)
class Stage:
    """A platform with a worker, and the processes that it takes by name."""

    platform: Platform
    processes: Mapping[str, int]


@dataclass(slots=True)
class Side:
    """What was measured of one side: tokens a second of each turn; in all, seconds and processor seconds by process."""

    processes: Mapping[str, int]
    rates: list[float] = field(default_factory=list)
    seconds: float = 0.0
    used: Counter[str] = field(default_factory=Counter)

    async def turn(self, run: Awaitable[int]) -> float:
        """`run` gives the number of tokens."""
        before, began = self._now(), time.perf_counter()
        tokens = await run
        seconds = time.perf_counter() - began
        self.seconds += seconds
        self.used.update({name: now - before[name] for name, now in self._now().items()})
        self.rates.append(tokens / seconds)
        return self.rates[-1]

    def _now(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self.processes.items()}

    def faster_without(self, *names: str) -> float:
        """By what it would be faster if what these processes took, spread over all cores, had taken no time."""
        saved = sum(self.used[name] for name in names) / (os.cpu_count() or 1)
        return self.seconds / (self.seconds - saved)


@asynccontextmanager
async def open_memory(model: Model) -> AsyncIterator[Stage]:
    config = EngineConfig(model.folder, dtype=Dtype.INT8, threads=THREADS, capacity=STREAMS, speculation=False)
    others = set(children(os.getpid()))
    async with (
        open_torch_backend(config, NAME) as backend,
        open_platform(SystemClock(), NAME) as platform,
        platform.worker(backend),
    ):
        (engine,) = set(children(os.getpid())) - others
        yield Stage(platform, {"worker, owner and client": os.getpid(), "its engine": engine})


@asynccontextmanager
async def open_cluster(model: Model) -> AsyncIterator[Stage]:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        kafka, redis = start_servers(folder, stack)
        settings = KafkaSettings.load(kafka_servers=kafka.address)
        async with open_kafka(settings) as bus, open_platform(SystemClock(), NAME, bus) as platform:
            variables = {
                "PARLEY_KAFKA_SERVERS": kafka.address,
                "PARLEY_REDIS_URLS": redis.address,
                "PARLEY_CONVERSATION_ADDRESS": platform.address,
                "PARLEY_SERVICE_TOKEN": TOKEN,
                "PARLEY_WORKER_MODEL": str(model.folder),
                "PARLEY_WORKER_MODEL_NAME": NAME,
                "PARLEY_WORKER_DTYPE": Dtype.INT8.value,
                "PARLEY_WORKER_THREADS": str(THREADS),
                "PARLEY_WORKER_CAPACITY": str(STREAMS),
                "PARLEY_WORKER_SPECULATION": "false",
            }
            async with open_worker_process(folder, variables) as worker:
                yield Stage(platform, {**worker, CLIENT: os.getpid(), "kafka": kafka.pid, "redis": redis.pid})


MODES = {"memory": open_memory, "cluster": open_cluster}


async def through_worker(platform: Platform, questions: list[str], tokens: int) -> int:
    """The tokens of all answers."""
    asked = (platform.ask(each, seconds=600.0, max_tokens=tokens, temperature=0.0) for each in questions)
    await asyncio.gather(*asked)
    return sum(end.usage.completion_tokens for end in await ended(platform, len(questions)))


async def ended(platform: Platform, count: int) -> list[events.GenerationCompleted]:
    ends: list[events.GenerationCompleted] = []
    while len(ends) < count:
        deliveries = await platform.ends.fetch(count, timeout=SILENCE_SECONDS)
        if not deliveries:
            raise RuntimeError(f"no answer ended for {SILENCE_SECONDS:.0f} s")
        for delivery in deliveries:
            end = from_record(delivery.record)
            await platform.ends.settle(delivery)
            if not isinstance(end, events.GenerationCompleted):
                raise RuntimeError(f"an answer failed: {end}")
            ends.append(end)
    return ends


async def bare(engine: Ours, prompts: list[tuple[int, ...]], tokens: int) -> int:
    await drive(engine.answer, [Ask(prompt, tokens) for prompt in prompts], STREAMS)
    return tokens * len(prompts)


async def measure(opening: AbstractAsyncContextManager[Stage], model: Model, rounds: int) -> dict[str, Side]:
    rng, tokenizer = random.Random(0), TextTokenizer(model.folder)

    async def take_turns(sides: dict[str, Side], tokens: int) -> str:
        questions = ["".join(rng.choices(string.ascii_lowercase, k=CHARACTERS)) for _ in range(STREAMS)]
        prompts = [tokenizer.encode_chat([ChatMessage("user", question)]) for question in questions]
        before = await sides["bare"].turn(bare(engine, prompts, tokens))
        after = await sides["worker"].turn(through_worker(stage.platform, questions, tokens))
        return f"bare {before:.0f}, worker {after:.0f} tokens/s"

    async with open_ours(model.folder, Dtype.INT8, threads=THREADS, capacity=STREAMS) as engine, opening as stage:
        assert engine.client.pid
        processes = {"bare": {CLIENT: os.getpid(), "its engine": engine.client.pid}, "worker": stage.processes}
        warm_up, sides = ({name: Side(each) for name, each in processes.items()} for _ in range(2))
        report.progress(f"warm: {await take_turns(warm_up, WARM_UP_TOKENS)}")
        for number in range(rounds):
            report.progress(f"{number + 1}/{rounds} {await take_turns(sides, TOKENS)}")
    return sides


def evaluate(sides: dict[str, Side]) -> dict[str, Any]:
    alone, worker = sides["bare"], sides["worker"]
    ratio = median(after / before for before, after in zip(alone.rates, worker.rates, strict=True))
    result: dict[str, Any] = {
        "rates": {name: median(side.rates) for name, side in sides.items()},
        "ratio": ratio,
        "cores": {
            name: {each: used / side.seconds for each, used in side.used.items()} for name, side in sides.items()
        },
    }
    if set(SERVERS) <= worker.processes.keys():
        result["ratio_without_servers"] = ratio * worker.faster_without(*SERVERS)
        result["ratio_without_servers_and_client"] = ratio * worker.faster_without(*SERVERS, CLIENT)
    return result


def show(mode: str, told: dict[str, Any]) -> None:
    for side, cores in told["cores"].items():
        report.table((f"{mode}, {side}: cores in use", ""), list(cores.items()))
    rows = [
        *told["rates"].items(),
        ("worker / bare, as it is", told["ratio"]),
        ("estimate: servers take no time", told.get("ratio_without_servers")),
        ("estimate: nor do owner and client", told.get("ratio_without_servers_and_client")),
    ]
    report.table((f"{mode}, {STREAMS} streams", "tokens/s"), [row for row in rows if row[1] is not None])


async def main(modes: list[str], rounds: int) -> None:
    model = ensure_model(SMALL)
    for mode in modes:
        told = evaluate(await measure(MODES[mode](model), model, rounds))
        show(mode, told)
        name = "worker" if mode == "memory" else f"worker-{mode}"
        report.save(name, {"model": SMALL, "streams": STREAMS, **told})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("modes", nargs="*", help="memory, cluster; default: both")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    asyncio.run(main(given.modes or list(MODES), given.rounds))

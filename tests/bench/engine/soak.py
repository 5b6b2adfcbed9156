"""Ten thousand requests of all shapes through one engine: does it grow, does it lose blocks, does it stay right.

    PYTHONPATH=tests .venv/bin/python tests/bench/engine/soak.py [REQUESTS]        (make soak)

On the bundled model. Prompts of U(1, 250) tokens, half of them behind one of eight shared prefixes; answers of U(1, 40)
tokens, greedy or sampled, with penalties or without; a tenth is given up in the middle by its reader and a twentieth
has a deadline of some milliseconds. The cache is small enough that sequences are preempted. After every 500 requests
the engine idles, which is when it checks its own blocks and would die of what is wrong; the bench fails if the process
is another one then, or if a fixed greedy request is answered otherwise than at first. Printed: memory and its growth.

After that the memory of a whole model whose cache of 2 GiB, the default, is full, against its weights and that bound,
and what of it a process has that did no more than to import torch.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from bench.engine.models import MEDIUM, ensure_model
from bench.engine.parts import report
from bench.engine.parts.load import Ask, drive, words
from bench.engine.parts.ours import Ours, open_ours

from parley_worker.config import GIB, Dtype, EngineConfig
from parley_worker.engine.client import EngineClient
from parley_worker.engine.errors import RequestError
from parley_worker.scheduler.request import Request, Sampling
from parley_worker.settings import BUNDLED_MODEL
from parley_worker.testing.sampling import GREEDY

THREADS, STREAMS, PORTION, CAPACITY = 2, 24, 500, 16
KV_BYTES = 24 * 2**20
VOCABULARY = 4000
MODEL_KV_BYTES = 2 * GIB


@dataclass
class Mix:
    """Requests of all shapes, from one seed."""

    rng: random.Random = field(default_factory=lambda: random.Random(0))

    def __post_init__(self) -> None:
        self._prefixes = [self._ids(self.rng.randint(16, 120)) for _ in range(8)]

    def request(self) -> Request:
        prefix = self.rng.choice(self._prefixes) if self.rng.random() < 0.5 else ()
        deadline = time.monotonic() + self.rng.uniform(0.0, 0.2) if self.rng.random() < 0.05 else None
        return Request(
            prefix + self._ids(self.rng.randint(1, 130)),
            0,
            self.rng.randint(1, 40),
            frozenset(),
            self._sampling(),
            user=str(self.rng.randrange(5)),
            deadline=deadline,
        )

    def patience(self) -> int | None:
        """After how many tokens the reader leaves."""
        return self.rng.randrange(8) if self.rng.random() < 0.1 else None

    def _sampling(self) -> Sampling:
        if self.rng.random() < 0.5:
            return GREEDY
        penalty = self.rng.choice((1.0, 1.2))
        return Sampling(0.8, self.rng.choice((0, 40)), self.rng.choice((1.0, 0.9)), penalty, self.rng.getrandbits(32))

    def _ids(self, length: int) -> tuple[int, ...]:
        return tuple(self.rng.randrange(VOCABULARY) for _ in range(length))


async def ask(client: EngineClient, request: Request, patience: int | None) -> str:
    """How it ended: answered, left or refused (its deadline)."""
    tokens = 0
    try:
        async with aclosing(client.generate(request)) as pieces:
            async for outputs in pieces:
                tokens += len(outputs)
                if patience is not None and tokens >= patience:
                    return "left"
    except RequestError:
        if request.deadline is None:
            raise
        return "late"
    if tokens != request.max_tokens:
        raise RuntimeError(f"{tokens} tokens instead of {request.max_tokens}")
    return "answered"


async def portion(client: EngineClient, mix: Mix, size: int) -> dict[str, int]:
    left, ends = iter(range(size)), {"answered": 0, "left": 0, "late": 0}

    async def stream() -> None:
        for _ in left:
            ends[await ask(client, mix.request(), mix.patience())] += 1

    await asyncio.gather(*(stream() for _ in range(STREAMS)))
    return ends


async def soak(requests: int) -> list[tuple[int, float]]:
    config = EngineConfig(BUNDLED_MODEL, dtype=Dtype.FLOAT32, threads=THREADS, capacity=CAPACITY, kv_bytes=KV_BYTES)
    mix, seen = Mix(), []
    async with EngineClient(config) as client:
        probe, pid = Ours(client), client.pid
        question = Ask(tuple(range(100, 180)), 24)
        expected = (await probe.answer(question)).ids
        for begin in range(0, requests, PORTION):
            done = min(begin + PORTION, requests)
            ends = await portion(client, mix, done - begin)
            if (await probe.answer(question)).ids != expected:
                raise RuntimeError("the fixed request is answered otherwise")
            if client.pid != pid or pid is None:
                raise RuntimeError("the engine died on the way")
            seen.append((done, resident(pid)))
            told = ", ".join(f"{number} {end}" for end, number in ends.items())
            report.progress(f"{done:,} of {requests:,} requests: {seen[-1][1]:.1f} MB; of the last ones {told}")
    return seen


async def whole_model() -> dict[str, float]:
    """Memory of a model whose cache has been filled, and of torch alone, in MB."""
    model, rng = ensure_model(MEDIUM), random.Random(0)
    vocabulary = model.config["vocab_size"]
    async with open_ours(model.folder, Dtype.INT8, threads=THREADS, capacity=8, kv_bytes=MODEL_KV_BYTES) as ours:
        tokens = MODEL_KV_BYTES // (model.kv_numbers * 2)
        asks = [Ask(words(900, vocabulary, rng), 4) for _ in range(2 + tokens // 900)]
        report.progress(f"{MEDIUM}: filling its cache with {len(asks)} prompts of 900 tokens")
        await drive(ours.answer, asks, 4)
        assert ours.client.pid
        held = resident(ours.client.pid)
    allowed = (model.matrix_weights + MODEL_KV_BYTES) / 2**20
    return {"resident": held, "weights_and_kv": allowed, "ratio": held / allowed, "torch": await torch_alone()}


async def torch_alone() -> float:
    program = "import torch; print(flush=True); input()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    await process.stdout.readline()
    held = resident(process.pid)
    await process.communicate(b"\n")
    return held


def resident(pid: int) -> float:
    """MB that are the process's own: files that it maps can go whenever memory is short."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024


async def main(requests: int) -> None:
    if requests < 1:
        raise SystemExit("soak.py: at least one request")
    seen = await soak(requests)
    half = seen[len(seen) // 2][1]
    print(f"growth over the second half: {seen[-1][1] - half:+.1f} MB of {half:.0f}")
    whole = await whole_model()
    head = (f"{MEDIUM}, full cache", "MB", "weights and KV MB", "ratio", "of it torch MB")
    report.table(head, [("", *whole.values())])
    report.save("soak", {"resident": seen, "second_half": seen[-1][1] - half, "whole_model": whole})


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))

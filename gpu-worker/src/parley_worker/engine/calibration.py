"""Measures an executor before it serves: how many threads a step takes, and how many tokens go into one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import takewhile

import numpy as np

from parley_worker.engine.executor import Executor
from parley_worker.scheduler.batch import BLOCK_SIZE, Batch

STEP_SECONDS = 0.1
"""How long a step with a piece of a prompt may take: so much later come the next tokens of others, and a stop."""

_LEAST_TOKENS, _MOST_TOKENS = 32, 8192
# What twice the threads must at least win. They are cores that the rest of the platform would not have.
_GAIN = 1.25
# A step this short is fast enough, and would be the first to suffer: with two threads on two cores that others use too,
# one waits for the other to be given a core again, which takes milliseconds.
_SHORT_SECONDS = 2e-3
_PROBES, _PROBE_SECONDS = 8, 0.25


def choose_threads(executor: Executor, set_threads: Callable[[int], None], most: int) -> int:
    """Set and return the number of threads, a power of two or `most`, beyond which a token is not made much faster."""
    chosen, best = 1, float("inf")
    for threads in (*takewhile(lambda count: count < most, _powers()), most):
        try:
            set_threads(threads)
        except OSError:  # the system has no more
            break
        seconds = time_step(executor, 1)
        if seconds * _GAIN > best:
            break
        chosen, best = threads, seconds
        if best < _SHORT_SECONDS:
            break
    set_threads(chosen)
    return chosen


def choose_step_tokens(executor: Executor, window: int) -> int:
    """How many tokens of a prompt a step computes within STEP_SECONDS, by measuring one of a few."""
    rows = min(_LEAST_TOKENS, window, executor.blocks * BLOCK_SIZE)
    rate = rows / time_step(executor, rows)
    return int(np.clip(rate * STEP_SECONDS // BLOCK_SIZE * BLOCK_SIZE, _LEAST_TOKENS, _MOST_TOKENS))


def time_step(executor: Executor, rows: int) -> float:
    """Seconds of a step of `rows` tokens of one sequence: the shortest of a few. Writes into the first blocks."""
    batch = _probe(rows)
    executor.execute(batch)
    times: list[float] = []
    while len(times) < _PROBES and sum(times) < _PROBE_SECONDS:
        begin = time.perf_counter()
        executor.execute(batch)[0, 0].item()  # which waits for a device
        times.append(time.perf_counter() - begin)
    return min(times)


def _probe(rows: int) -> Batch:
    positions = np.arange(rows)
    return Batch(
        tokens=np.zeros(rows, np.int64),
        positions=positions,
        lengths=positions + 1,
        starts=np.array([0, rows], np.int32),
        blocks=np.arange(-(-rows // BLOCK_SIZE), dtype=np.int32)[None],
        draws=np.array([rows - 1]),
    )


def _powers() -> Iterator[int]:
    count = 1
    while True:
        yield count
        count *= 2

"""The engine process with a clock around its executor: `timed_engine.py FD PARENT CONFIG`, as `parley_worker.engine`.

When it is told to stop it writes [segments, rows, begin, end] of each step that was executed to the file that
STEPS_FILE names.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from unittest.mock import patch

from torch import Tensor

from parley_worker.engine import __main__ as process
from parley_worker.engine.executor import Executor
from parley_worker.engine.runner import Runner, Sampler
from parley_worker.scheduler.batch import Batch

STEPS_FILE = "PARLEY_BENCH_STEPS"


class TimedExecutor:
    """An executor that remembers when it began and ended."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.blocks, self.invariant, self.looks_ahead = executor.blocks, executor.invariant, executor.looks_ahead
        self.steps: list[tuple[int, int, float, float]] = []

    def execute(self, batch: Batch) -> Tensor:
        begin = time.perf_counter()
        scores = self._executor.execute(batch)
        self.steps.append((len(batch.blocks), len(batch.tokens), begin, time.perf_counter()))
        return scores


def main() -> None:
    timed: list[TimedExecutor] = []

    def runner(executor: Executor, *sampler: Sampler) -> Runner:
        timed.append(TimedExecutor(executor))
        return Runner(timed[-1], *sampler)

    with patch("parley_worker.engine.opening.Runner", runner):
        process.main()
    Path(os.environ[STEPS_FILE]).write_text(json.dumps(timed[0].steps))


if __name__ == "__main__":
    main()

"""The engine process with a clock around its kernels: `timed_engine.py FD PARENT CONFIG`, as `parley_worker.engine`.

When it is told to stop it writes [segments, rows, begin, end, rounds] of each call of the native decoder to the file
that STEPS_FILE names.
"""

from __future__ import annotations

import json
import os
import time
from array import array
from pathlib import Path
from typing import Any
from unittest.mock import patch

from parley_worker.engine import __main__ as process
from parley_worker.native import abi
from parley_worker.native.library import Decoder

STEPS_FILE = "PARLEY_BENCH_STEPS"


class TimedDecoder(Decoder):
    """A decoder that remembers when it began and ended."""

    steps: list[tuple[int, int, float, float, int]] = []  # noqa: RUF012 - one process, one decoder

    def execute(self, numbers: array[int], tables: abi.Tables, scores: int) -> None:
        rows, segments = numbers[:2]
        begin = time.perf_counter()
        super().execute(numbers, tables, scores)
        self.steps.append((segments, rows, begin, time.perf_counter(), 1))

    def generate(self, numbers: array[int], *others: Any) -> list[int]:
        rows, segments, draws = numbers[:3]
        begin = time.perf_counter()
        tokens = super().generate(numbers, *others)
        self.steps.append((segments, rows, begin, time.perf_counter(), len(tokens) // draws if draws else 1))
        return tokens


def main() -> None:
    with patch("parley_worker.native.executor.Decoder", TimedDecoder):
        process.main()
    Path(os.environ[STEPS_FILE]).write_text(json.dumps(TimedDecoder.steps))


if __name__ == "__main__":
    main()

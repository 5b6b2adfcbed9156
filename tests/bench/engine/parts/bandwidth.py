"""How fast this machine reads memory now: a small C program (read.c) that reads whenever it is asked to."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("read.c")
BURST_BYTES = 2**27
"""What a step of the small model reads in 8 bits, nearly: a burst sees the weather that a step sees."""


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """GB/s of many bursts. `typical`, their median, is what stands fairly beside the medians of engines."""

    typical: float
    best: float

    @staticmethod
    def of(bursts: Sequence[float]) -> Bandwidth:
        return Bandwidth(statistics.median(bursts), max(bursts))


class Reader:
    """The program, waiting to be asked. Open one with `open_reader`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def read(self, seconds: float) -> list[float]:
        """Read for so long; GB/s of each burst. The first, for which threads had to wake, is left out."""
        assert self._process.stdin
        assert self._process.stdout
        print(seconds, file=self._process.stdin, flush=True)
        told = self._process.stdout.readline().split()
        if len(told) < 2:
            raise RuntimeError(f"read.c ended, or read less than two bursts in {seconds} s")
        return [float(each) for each in told[1:]]


@contextmanager
def open_reader(threads: int) -> Iterator[Reader]:
    """A reader with so many threads, compiled now. It holds 512 MiB and takes no processor between two calls."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "read"
        subprocess.run(("cc", "-O3", "-march=native", "-pthread", str(SOURCE), "-o", str(program)), check=True)
        command = (str(program), str(threads), str(BURST_BYTES))
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            yield Reader(process)

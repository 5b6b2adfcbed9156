"""How fast this machine reads memory: the denominator of what a decode step can reach.

    PYTHONPATH=tests .venv/bin/python tests/bench/engine/limit.py

For some seconds a C program reads memory in bursts as long as a decode step's. The machine is one of many on its host,
whose traffic comes and goes within the second, so two numbers are given: the median burst, and the best.
"""

from __future__ import annotations

from dataclasses import asdict

from bench.engine.parts import report
from bench.engine.parts.bandwidth import Bandwidth, open_reader

SECONDS = 3.0


def bandwidth(threads: int, seconds: float = SECONDS) -> Bandwidth:
    """What so many threads read."""
    with open_reader(threads) as reader:
        return Bandwidth.of(reader.read(seconds))


def main() -> None:
    rates = {threads: bandwidth(threads) for threads in (1, 2)}
    report.table(
        ("threads", "median GB/s", "best"), [(str(key), each.typical, each.best) for key, each in rates.items()]
    )
    report.save("limit", {"gigabytes_per_second": {threads: asdict(each) for threads, each in rates.items()}})


if __name__ == "__main__":
    main()

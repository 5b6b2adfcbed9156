"""How fast `parley run` is ready after set-up, and what its processes hold in memory then.

PYTHONPATH=tests .venv/bin/python tests/bench/start.py
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from support.platform import group_members, start_platform
from support.usage import resident

ROUNDS = 3


def main() -> None:
    for name, settings in {"torch": {}, "scripted": {"PARLEY_WORKER_BACKEND": "scripted"}}.items():
        for number in range(ROUNDS):
            began = time.perf_counter()
            with (
                tempfile.TemporaryDirectory() as folder,
                start_platform(Path(folder) / "data", settings=settings) as platform,
            ):
                ready = time.perf_counter() - began
                main_process = platform.process.pid
                children = [pid for pid in group_members(main_process) if pid != main_process]
                print(
                    f"{name:9} {'first' if number == 0 else 'again':6} ready in {ready:5.2f} s, platform"
                    f" {resident(main_process):4.0f} MB, engine {sum(map(resident, children)):5.0f} MB"
                )


if __name__ == "__main__":
    main()

"""Results as a table on the terminal and as JSON in build/bench, with the machine that they belong to."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[4]
FOLDER = ROOT / "build" / "bench"


def save(name: str, results: Mapping[str, Any]) -> None:
    """Keep the results of a bench as build/bench/NAME.json."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **results}, indent=1) + "\n")
    print(f"-> {path.relative_to(ROOT)}")


def load(name: str) -> dict[str, Any] | None:
    """What `save` kept; None if that bench has not run."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def machine() -> dict[str, Any]:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    command = ("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    return {
        "cpu": models[0].partition(":")[2].strip() if models else platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "commit": subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def progress(text: str) -> None:
    """One line of how far a bench has come, with the seconds since it was started."""
    print(f"[{time.clock_gettime(time.CLOCK_BOOTTIME) - started():4.0f} s] {text}", flush=True)


def started() -> float:
    """When this process was started, in seconds since the machine was."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print columns, the first to the left and the others to the right."""
    cells = [[_cell(value) for value in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        first, *others = (
            cell.ljust(width) if not i else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *others]), flush=True)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return "" if value is None else str(value)

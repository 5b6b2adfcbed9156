"""What processes use, read from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from support.cluster import Cluster


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, its threads included, its children not."""
    fields = _fields(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """MB of memory that are this process's, shared pages included."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def children(pid: int) -> Iterator[int]:
    """Those that the process has started and that still run."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        other = int(stat.parent.name)
        try:
            if int(_fields(other)[1]) == pid:
                yield other
        except OSError:
            continue


def processes(cluster: Cluster) -> dict[str, int]:
    """The pid of every process of a cluster, by its name."""
    return {path.stem: int(path.read_text()) for path in sorted((cluster.data_dir / "run").glob("*.pid"))}


def _fields(pid: int) -> list[str]:
    """/proc/PID/stat behind the command's name: state, parent, group, session, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()

"""The living processes of a cluster, found by the mark in their environment: pid files may be stale, this is not."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from parley_local.layout import MARK, Layout

POLL_SECONDS = 0.1
DOWN_SECONDS = 20.0
KILL_SECONDS = 2.0


def members(layout: Layout) -> set[int]:
    """Every process of the cluster: the supervisor, what it started, and what those started."""
    mark = f"{MARK}={layout.run}".encode()
    found = set()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # gone meanwhile, or somebody else's
            if mark in environment.read_bytes().split(b"\0"):
                found.add(int(environment.parent.name))
    return found


def supervisor_of(layout: Layout) -> int | None:
    """The supervisor, if it lives."""
    pid = read_pid(layout.supervisor_pid)
    return pid if pid in members(layout) else None


def read_pid(file: Path) -> int | None:
    """The process id in `file`, which may be stale."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def end_members(layout: Layout, seconds: float = DOWN_SECONDS) -> None:
    """End the cluster: in order by its supervisor, else all at once; SIGKILL for what is left after `seconds`.

    Returns when none is left. What was paused is woken, so that it can end by itself.
    """
    supervisor = supervisor_of(layout)
    found = members(layout)
    _signal({supervisor} if supervisor is not None else found, signal.SIGTERM)
    _signal(found, signal.SIGCONT)
    if not _are_gone(layout, seconds):
        _kill(layout)
    for file in layout.run.glob("*.pid"):
        file.unlink(missing_ok=True)


def _are_gone(layout: Layout, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while members(layout):
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _kill(layout: Layout) -> None:
    """The supervisor first: it would restart the others."""
    supervisor = supervisor_of(layout)
    if supervisor is not None:
        _signal({supervisor}, signal.SIGKILL)
    deadline = time.monotonic() + KILL_SECONDS
    while (found := members(layout)) and time.monotonic() < deadline:
        _signal(found, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)

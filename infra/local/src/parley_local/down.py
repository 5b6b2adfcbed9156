"""`parley-local down`: ends the cluster of a data folder, wherever and however it was started."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from parley_local.layout import Layout
from parley_local.members import end_members, members, read_pid

POLL_SECONDS = 0.1
LEAVE_SECONDS = 2.0


def end_cluster(layout: Layout) -> bool:
    """End `up` and every process of the cluster, in order, within 30 s. Returns whether there was any."""
    command = _holder(layout.lock)
    if command is not None:
        _signal(command, signal.SIGTERM)
        _signal(command, signal.SIGCONT)
    found = members(layout)
    end_members(layout)
    if command is not None and not _has_left(layout.lock):
        _signal(command, signal.SIGKILL)
        end_members(layout, LEAVE_SECONDS)
    return command is not None or bool(found)


def _holder(lock: Path) -> int | None:
    """The process that holds the lock, which is an `up`."""
    return read_pid(lock) if _is_held(lock) else None


def _is_held(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _has_left(lock: Path) -> bool:
    deadline = time.monotonic() + LEAVE_SECONDS
    while _is_held(lock):
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)

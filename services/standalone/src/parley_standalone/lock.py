"""One running platform for each data folder."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from parley_kit.settings import ConfigError
from parley_standalone.instance import LOCK_FILE, Instance, find_instance


class DataDirLock:
    """Held by the open file, so that the kernel lets go of it however the process ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def announce(self, url: str = "") -> None:
        """Leave a note for whoever finds the folder locked."""
        note = json.dumps(asdict(Instance(os.getpid(), url))).encode()
        os.pwrite(self._descriptor, note, 0)
        os.ftruncate(self._descriptor, len(note))


@contextmanager
def hold_data_dir(data_dir: Path) -> Iterator[DataDirLock]:
    """Keep every other instance out of `data_dir` for the block. Raises ConfigError when one is in it."""
    try:
        descriptor = os.open(data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"PARLEY_DATA_DIR: cannot write to {data_dir / LOCK_FILE}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"PARLEY_DATA_DIR: {data_dir} is in use by {_holder(data_dir)}") from None
        lock = DataDirLock(descriptor)
        lock.announce()
        yield lock
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _holder(data_dir: Path) -> str:
    instance = find_instance(data_dir)
    if instance is None:
        return "another process"
    where = f" at {instance.url}" if instance.url else ""
    return f"another parley (process {instance.pid}{where})"

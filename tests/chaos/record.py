"""A recorder on a file, with a clock that begins at 0."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos.operation import Recorder


@contextmanager
def open_record(path: Path) -> Iterator[Recorder]:
    """The history is written to `path` as it grows."""
    start = time.monotonic()
    with path.open("w") as file:
        yield Recorder(lambda: time.monotonic() - start, file)

"""What comes up, and how long it took: every part is asked until it is ready, all of them at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from parley_local.program import NotReady

POLL_SECONDS = 0.3


class Part(Protocol):
    """Something that becomes ready."""

    @property
    def name(self) -> str: ...

    def check(self) -> None:
        """Raises NotReady, within a few seconds."""
        ...


@dataclass(slots=True)
class Watched:
    """One part, `seconds` after the start ready, or not yet and why."""

    part: Part
    seconds: float | None = None
    reason: str = ""


class Startup:
    """Watches all parts, each in a thread, until they are ready or the watch is given up."""

    def __init__(self, parts: Sequence[Part], report: Callable[[Watched], None]) -> None:
        self.watched = [Watched(part) for part in parts]
        self._report = report
        self._began = time.monotonic()
        self._over = threading.Event()

    def begin(self) -> None:
        """Start watching. `report` is called from other threads, once for each part that is ready."""
        for watched in self.watched:
            threading.Thread(target=self._watch, args=(watched,), daemon=True).start()

    def end(self) -> None:
        """Give up those that are not ready."""
        self._over.set()

    @property
    def waiting(self) -> list[Watched]:
        return [watched for watched in self.watched if watched.seconds is None]

    def _watch(self, watched: Watched) -> None:
        while not self._over.is_set():
            try:
                watched.part.check()
            except NotReady as error:
                watched.reason = str(error)
                self._over.wait(POLL_SECONDS)
            else:
                watched.seconds = time.monotonic() - self._began
                self._report(watched)
                return

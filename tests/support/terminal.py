"""A person at a terminal: a pseudo-terminal, what is typed into it, and what it shows."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

ESCAPES = re.compile(r"\x1b(\[[0-9;?]*([A-Za-z]|$)|\]8;[^\x1b]*(\x1b\\|$)|$)|[\x01\x02]")
PATIENCE_SECONDS = 30.0


@dataclass
class Terminal:
    """`shown` is all that was printed so far, without colours and cursor movements."""

    pid: int
    descriptor: int
    shown: str = ""
    _raw: str = ""
    _seen: int = field(default=0)

    def type(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())

    def wait_for(self, words: str) -> str:
        """Read on until `words` are shown. Returns what was shown since the last wait, up to and with them."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (found := self.shown.find(words, self._seen)) < 0:
            assert time.monotonic() < deadline, self.shown
            self._read(0.1)
        start, self._seen = self._seen, found + len(words)
        return self.shown[start : self._seen]

    def interrupt_until(self, words: str) -> str:
        """Press Ctrl-C, and again as a person would, until `words` are shown.

        CPython's readline loses a signal that comes between showing the prompt and waiting for a key.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while words not in self.shown[self._seen :]:
            assert time.monotonic() < deadline, self.shown
            self.type("\x03")
            self._read(1.0)
        return self.wait_for(words)

    def wait_for_end(self) -> int:
        """The exit code."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (ended := os.waitpid(self.pid, os.WNOHANG))[0] == 0:
            assert time.monotonic() < deadline, self.shown
            self._read(0.1)
        return os.waitstatus_to_exitcode(ended[1])

    def _read(self, seconds: float) -> None:
        if select.select([self.descriptor], [], [], seconds)[0]:
            with suppress(OSError):  # the other end is closed
                self._raw += os.read(self.descriptor, 65536).decode(errors="replace")
                self.shown = ESCAPES.sub("", self._raw)


@contextmanager
def open_terminal(environment: dict[str, str], *arguments: str) -> Iterator[Terminal]:
    """Run `parley` with arguments at a terminal of its own; it is gone at the end of the block."""
    pid, descriptor = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-m", "parley_standalone", *arguments], environment)  # noqa: S606
    try:
        yield Terminal(pid, descriptor)
    finally:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(descriptor)

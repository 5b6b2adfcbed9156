"""The wish to stop, from SIGINT, SIGTERM or SIGHUP, any number of them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Asked to stop while nothing runs yet that would have to be ended in order."""


class Stop:
    """`asked` turns true at the first signal. Inside `interrupting`, that one also breaks off what is under way."""

    def __init__(self) -> None:
        self.asked = False
        self._interrupts = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals, for good: a late one must not spoil a clean exit."""
        for number in SIGNALS:
            signal.signal(number, self._on_signal)
        yield
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Raises Interrupted out of the block at the first signal, or at once when it came before."""
        self._interrupts = True
        try:
            if self.asked:
                raise Interrupted
            yield
        finally:
            self._interrupts = False

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        first, self.asked = not self.asked, True
        if first and self._interrupts:
            raise Interrupted

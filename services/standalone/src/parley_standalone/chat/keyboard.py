"""What a person does while an answer is being written: Ctrl-C, or typing /stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from parley_standalone.chat.commands import Command, parse


class Keyboard:
    """Watches for a wish to stop. Other lines typed meanwhile are kept: they are the next messages."""

    def __init__(self, interactive: bool) -> None:
        self.interactive = interactive
        self._typed: list[str] = []

    def take_typed(self) -> str | None:
        """The oldest line that was typed ahead, if any."""
        return self._typed.pop(0) if self._typed else None

    @contextmanager
    def watch(self, on_stop: Callable[[], None]) -> Iterator[None]:
        """Call `on_stop` on the event loop for each Ctrl-C and each /stop of the block."""
        loop = asyncio.get_running_loop()

        def on_signal(_number: int, _frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(on_stop)

        before = signal.signal(signal.SIGINT, on_signal)
        if self.interactive:
            loop.add_reader(sys.stdin.fileno(), self._read, on_stop)
        try:
            yield
        finally:
            if self.interactive:
                loop.remove_reader(sys.stdin.fileno())
            signal.signal(signal.SIGINT, before)

    def _read(self, on_stop: Callable[[], None]) -> None:
        lines = os.read(sys.stdin.fileno(), 65536).decode(errors="replace").splitlines()
        for line in filter(str.strip, lines):
            if parse(line).command is Command.STOP:
                on_stop()
            else:
                self._typed.append(line)

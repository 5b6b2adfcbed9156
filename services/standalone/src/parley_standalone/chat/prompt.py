"""Where the lines come from: a person at a prompt, or a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from parley_standalone.chat.keyboard import Keyboard

# \001 and \002 tell readline which characters take no room on the line.
PROMPT = "\001\033[1;36m\002you >\001\033[0m\002 "


class Prompt:
    """Reads lines until the end of input, /quit aside."""

    def __init__(self, keyboard: Keyboard) -> None:
        self._keyboard = keyboard
        self.interactive = keyboard.interactive

    def lines(self) -> Iterator[str]:
        if self.interactive:
            import readline  # noqa: F401 - its import gives input() editing and a history
        while True:
            line = self._ask() if self.interactive else sys.stdin.readline()
            if line is None or (not self.interactive and line == ""):
                return
            if line.strip():
                yield line.removesuffix("\n")

    def _ask(self) -> str | None:
        """A line; empty after Ctrl-C, which clears the line; None after Ctrl-D."""
        typed = self._keyboard.take_typed()
        if typed is not None:
            print(f"you > {typed}")  # noqa: T201 - as if it were typed now
            return typed
        try:
            return input(PROMPT)
        except KeyboardInterrupt:
            print("\n(Ctrl-D or /quit leaves)")  # noqa: T201 - the prompt's own voice
            return ""
        except EOFError:
            print()  # noqa: T201 - the shell's prompt begins on a line of its own
            return None

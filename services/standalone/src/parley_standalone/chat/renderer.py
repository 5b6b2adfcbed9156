"""How a chat is shown: to a person, to a pipe, or to a program."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Protocol

from rich.console import Console
from rich.status import Status

from parley_kit.errors import ParleyError, Retryable
from parley_standalone.chat.text import printable
from parley_standalone.client import Delta, Event, Finished, Message, Restarted, Sent


class Renderer(Protocol):
    """Called in the order of what happens; nothing here waits."""

    def sent(self, sent: Sent) -> None: ...

    def event(self, event: Event) -> None: ...

    def waiting(self, error: Retryable) -> None:
        """The server is away or busy; the client tries again by itself."""
        ...

    def note(self, text: str) -> None:
        """Something that the user asked for, or ought to know."""
        ...

    def history(self, messages: Sequence[Message]) -> None: ...

    def error(self, error: ParleyError) -> None: ...


class TerminalRenderer:
    """Colours, a spinner until the first word, and a line of figures after the last."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._started = 0.0
        self._column_zero = True

    def sent(self, sent: Sent) -> None:
        self._started = time.monotonic()
        self._spin("thinking")

    def event(self, event: Event) -> None:
        self._unspin()
        match event:
            case Delta():
                self._write(printable(event.text))
            case Restarted():
                self._end_line()
                self._say("The answer starts again:", "yellow")
            case Finished():
                self._end_line()
                figures = _figures(event, time.monotonic() - self._started)
                self._say(f"{figures}\n", "dim")

    def waiting(self, error: Retryable) -> None:
        self._end_line()
        self._spin("the connection is lost, trying again" if error.code == "UNAVAILABLE" else error.message)

    def note(self, text: str) -> None:
        self._unspin()
        self._end_line()
        self._say(text, "dim")

    def history(self, messages: Sequence[Message]) -> None:
        for message in messages:
            who = "you" if message.role == "USER" else message.role.lower()
            others = f" (one of {message.siblings})" if message.siblings > 1 else ""
            self._say(f"{who}{others}", "bold cyan" if who == "you" else "bold green")
            self._say(message.content)

    def error(self, error: ParleyError) -> None:
        self._unspin()
        self._end_line()
        self._say(error.message, "red")

    def _say(self, text: str, style: str | None = None) -> None:
        """A line of its own. By `out`, which takes text as it is: `print` makes something of :smile: and [this]."""
        self._console.out(printable(text), style=style, highlight=False)

    def _write(self, text: str) -> None:
        self._console.out(text, end="", highlight=False)
        self._column_zero = text.endswith("\n") if text else self._column_zero

    def _end_line(self) -> None:
        if not self._column_zero:
            self._console.print()
            self._column_zero = True

    def _spin(self, text: str) -> None:
        self._unspin()
        self._status = self._console.status(text, spinner="dots")
        self._status.start()

    def _unspin(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


class PlainRenderer:
    """The answer and nothing else on stdout, so that it can be piped on; the rest goes to stderr."""

    def sent(self, sent: Sent) -> None:
        pass

    def event(self, event: Event) -> None:
        match event:
            case Delta():
                sys.stdout.write(event.text)
            case Restarted():
                sys.stdout.write("\n")
                self._say("the answer starts again")
            case Finished():
                sys.stdout.write("\n")
                if event.error:
                    self._say(event.error)
        sys.stdout.flush()

    def waiting(self, error: Retryable) -> None:
        self._say(f"trying again: {error.message}")

    def note(self, text: str) -> None:
        self._say(text)

    def history(self, messages: Sequence[Message]) -> None:
        for message in messages:
            print(f"{message.role.lower()}: {message.content}")  # noqa: T201 - the output

    def error(self, error: ParleyError) -> None:
        self._say(error.message)

    def _say(self, text: str) -> None:
        print(f"parley: {text}", file=sys.stderr)  # noqa: T201 - the command's own voice


class JsonRenderer:
    """One JSON object a line, `type` first: sent, delta, restarted, finished, waiting, note, error."""

    def sent(self, sent: Sent) -> None:
        self._print("sent", asdict(sent))

    def event(self, event: Event) -> None:
        self._print(type(event).__name__.lower(), asdict(event))

    def waiting(self, error: Retryable) -> None:
        self._print("waiting", {"code": error.code, "message": error.message})

    def note(self, text: str) -> None:
        self._print("note", {"text": text})

    def history(self, messages: Sequence[Message]) -> None:
        self._print("history", {"messages": [asdict(message) for message in messages]})

    def error(self, error: ParleyError) -> None:
        self._print("error", {"code": error.code, "message": error.message})

    def _print(self, kind: str, fields: dict[str, object]) -> None:
        print(json.dumps({"type": kind, **fields}, ensure_ascii=False), flush=True)  # noqa: T201 - the output


def _figures(finished: Finished, seconds: float) -> str:
    tokens = finished.completion_tokens
    parts = [] if tokens is None else [f"{tokens} tokens"]
    parts.append(f"{seconds:.1f} s")
    match finished.state, finished.finish_reason:
        case "CANCELLED", _:
            parts.append("stopped")
        case _, "LENGTH":
            parts.append("cut at the length limit")
        case "FAILED" | "EXPIRED", _:
            parts.append(finished.error or finished.state.lower())
    return " · ".join(parts)

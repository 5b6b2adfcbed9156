"""How far a batch is, for whoever watches it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


class Progress(Protocol):
    """Is told of a batch as it goes."""

    def begin(self, count: Callable[[], int | None]) -> None:
        """The model runs. `count` says how many lines there are, None if that cannot be known; it may be slow."""
        ...

    def made(self, tokens: int) -> None: ...

    def answered(self, *, error: bool) -> None:
        """A line has its answer, or its error."""
        ...

    def end(self) -> None:
        """All lines are answered."""
        ...


class Silent:
    """Nobody watches."""

    def begin(self, count: Callable[[], int | None]) -> None: ...

    def made(self, tokens: int) -> None: ...

    def answered(self, *, error: bool) -> None: ...

    def end(self) -> None: ...


class Shown:
    """A bar on a terminal. What it says is read when it is drawn, ten times a second: a token costs an addition."""

    def __init__(self, bar: Bar) -> None:
        self._lines = self._errors = self._tokens = 0
        self._began: float | None = None
        self._ended: float | None = None
        self._bar, self._task = bar, bar.add_task("loading the model", total=None, tally=self)

    def begin(self, count: Callable[[], int | None]) -> None:
        self._bar.update(self._task, description="answering", total=count())
        self._bar.reset(self._task)
        self._began = time.monotonic()

    def made(self, tokens: int) -> None:
        self._tokens += tokens

    def answered(self, *, error: bool) -> None:
        self._lines += 1
        self._errors += error
        self._bar.advance(self._task)

    def end(self) -> None:
        self._ended = time.monotonic()

    @property
    def rate(self) -> str:
        """What is drawn beside the bar."""
        if self._began is None:
            return ""
        errors = f", {_count(self._errors, 'error')}" if self._errors else ""
        return f"{self._tokens / self._seconds:,.0f} tok/s{errors}"

    @property
    def summary(self) -> str:
        """One line about the whole batch."""
        return (
            f"{_count(self._lines, 'line')}, {_count(self._errors, 'error')}, {_count(self._tokens, 'token')} "
            f"in {self._seconds:.1f} s ({self._tokens / self._seconds:,.0f} tok/s)"
        )

    @property
    def _seconds(self) -> float:
        now = time.monotonic()
        return max(1e-3, (self._ended or now) - (self._began or now))


@contextmanager
def open_progress(*, quiet: bool = False) -> Iterator[Progress]:
    """A bar on stderr if that is a terminal, and one line about the batch when it is through; else nothing at all."""
    if quiet or not sys.stderr.isatty():
        yield Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[tally].rate}"), console=console, transient=True) as bar:
        shown = Shown(bar)
        yield shown
    console.print(shown.summary, highlight=False)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"

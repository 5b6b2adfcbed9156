"""`parley-worker generate` shows how far it is to a terminal, and to nobody else."""

from __future__ import annotations

import os
import pty
import re
from collections.abc import Iterator
from contextlib import redirect_stderr

import pytest

from parley_worker.generate.progress import open_progress

# What moves the cursor, colours and clears.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
# What is written arrives a moment later: this is the last of it.
_END = "<end>"


class Terminal:
    """A terminal that stderr is; `read` says what was written to it, and ends it."""

    def __init__(self) -> None:
        self._reader, writer = pty.openpty()
        self.stderr = os.fdopen(writer, "w", encoding="utf-8")

    def read(self) -> list[str]:
        """The lines, also those that were written over."""
        self.stderr.write(_END)
        self.stderr.flush()
        written = b""
        while not written.endswith(_END.encode()):
            written += os.read(self._reader, 1 << 16)
        text = written.decode().removesuffix(_END)
        return [line.strip() for line in re.split(r"[\r\n]+", _CONTROL.sub("", text)) if line.strip()]

    def close(self) -> None:
        self.stderr.close()
        os.close(self._reader)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    opened = Terminal()
    yield opened
    opened.close()


def play(*, quiet: bool = False, total: int | None = 3) -> None:
    with open_progress(quiet=quiet) as progress:
        progress.begin(lambda: total)
        for error in (False, True, False):
            progress.made(500)
            progress.answered(error=error)
        progress.end()


@pytest.mark.parametrize("total", [3, None])
def test_a_terminal_shows_a_bar_and_in_the_end_one_line(terminal: Terminal, total: int | None) -> None:
    with redirect_stderr(terminal.stderr):
        play(total=total)
    *drawn, summary = terminal.read()
    assert re.fullmatch(r"3 lines, 1 error, 1,500 tokens in \d+\.\d s \([\d,]+ tok/s\)", summary)
    assert drawn[0].startswith("loading the model")
    assert drawn[-1].startswith("answering")
    assert f"3/{total or '?'}" in drawn[-1]
    assert re.search(r"[\d,]+ tok/s, 1 error$", drawn[-1])


def test_quiet_leaves_a_terminal_alone(terminal: Terminal) -> None:
    with redirect_stderr(terminal.stderr):
        play(quiet=True)
    assert terminal.read() == []


def test_what_is_no_terminal_is_told_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    play()
    assert capsys.readouterr() == ("", "")


def test_a_batch_that_cannot_begin_has_no_summary(terminal: Terminal) -> None:
    with (
        redirect_stderr(terminal.stderr),
        pytest.raises(ValueError, match="no such model"),
        open_progress(),
    ):
        raise ValueError("no such model")
    drawn = terminal.read()
    assert drawn
    assert all(line.startswith("loading the model") for line in drawn)

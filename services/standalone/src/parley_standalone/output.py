"""A standard output whose reader may go away first, as `tee` does at a Ctrl-C."""

from __future__ import annotations

import os
import sys

from rich.console import Console


class PatientConsole(Console):
    """Goes silent when nobody reads it any more, where rich's own would end the process."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        abandon_stdout()


def abandon_stdout() -> None:
    """Let what is written from now on, and what is still in buffers at the exit, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)

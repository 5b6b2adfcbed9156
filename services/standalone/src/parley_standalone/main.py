"""Where the `parley` command begins: nothing is imported before a signal would end it cleanly."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run the command line. Until `parley run` takes signals over, one simply ends it: nothing is open yet."""
    if sys.argv[1:2] == ["run"]:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _leave)
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # it would tell the terminal about its own threads
    from parley_standalone.cli import app  # rich and typer take their time

    app()


def _leave(_number: int, _frame: object) -> None:
    os._exit(0)  # at once: while the interpreter winds down, a second signal would find its deadly default again

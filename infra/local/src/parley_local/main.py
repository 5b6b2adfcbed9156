"""Where `parley-local` begins: nothing is imported before a signal would end it cleanly."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run the command line. Until `up` takes the signals over, one simply ends it: nothing runs yet."""
    if sys.argv[1:2] == ["up"]:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: os._exit(0))
    from parley_local.cli import app  # rich and typer take their time

    app()

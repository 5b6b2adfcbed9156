"""The engine process: `python -m parley_worker.engine FD PARENT CONFIG`, started by `EngineProcess`."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve the client behind the socket until it says stop or is gone."""
    _live_with_parent(int(sys.argv[2]))
    # Imported late: torch takes seconds, and signals must be in order before.
    from parley_worker.engine.messages import read_config
    from parley_worker.engine.startup import serve

    with socket.socket(fileno=int(sys.argv[1])) as end:
        serve(end, read_config(sys.argv[3]))


def _live_with_parent(parent: int) -> None:
    """End with the parent, even if it is killed, and only at its word: signals to the group are the parent's."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    main()

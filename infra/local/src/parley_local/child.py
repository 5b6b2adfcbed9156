"""A server as a child of this process, which a test may kill, pause and restart."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from parley_local.program import NotReady, Server

START_SECONDS = 90.0
POLL_SECONDS = 0.1
STOP_SECONDS = 10.0
TAIL_BYTES = 4000
PR_SET_PDEATHSIG = 1


class ServerFailed(Exception):
    """The server did not come up; the message has the end of its log."""


class ServerProcess:
    """One server as a child of this process. `java_options`: more of them, for a JVM.

    It does not outlive the thread that started it: start it from one that stays.
    """

    def __init__(self, server: Server, log: Path, java_options: Sequence[str] = ()) -> None:
        self.server = server
        self.log = log
        self._java_options = java_options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return self.server.address

    @property
    def pid(self) -> int:
        """The server's own process."""
        if self._process is None:
            raise ServerFailed(f"{self.server.name} was not started")
        return self._process.pid

    def start(self) -> None:
        """Start it on its folder, as it was left, and wait until a client is answered."""
        program = self.server.prepare()
        # Found before the fork: in the child of a process with threads, looking up what a library has may never end.
        die_with_parent = partial(ctypes.CDLL(None).prctl, PR_SET_PDEATHSIG, signal.SIGKILL)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [program.command[0], *self._java_options, *program.command[1:]],
                cwd=program.folder,
                env={**os.environ, **program.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C is for the tests, which then end it
                preexec_fn=die_with_parent,
            )
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait until a client is answered, as after `resume`."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return self.server.check()
            except NotReady as error:
                self._give_up_if_hopeless(deadline, error)
            time.sleep(POLL_SECONDS)

    def _give_up_if_hopeless(self, deadline: float, reason: NotReady) -> None:
        ended = self._process.poll() if self._process is not None else None
        if ended is None and time.monotonic() < deadline:
            return
        what = f"did not come up in {START_SECONDS} s" if ended is None else f"ended with {ended}"
        raise ServerFailed(f"{self.server.name} {what}: {reason}\n{self.tail()}")

    def kill(self) -> None:
        """SIGKILL: whatever it had only promised is gone."""
        self._end(signal.SIGKILL)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """SIGTERM, and SIGKILL when it takes longer than that. Does nothing when it does not run."""
        self._end(signal.SIGTERM, seconds)

    def restart(self) -> None:
        """Kill it and start it again on its folder and its address."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-TAIL_BYTES:]

    def _end(self, number: signal.Signals, seconds: float = STOP_SECONDS) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_SECONDS)


@contextmanager
def run_server(server: Server, log: Path) -> Iterator[ServerProcess]:
    """Hold a server up for the block, and leave nothing of it behind."""
    process = ServerProcess(server, log)
    try:
        process.start()
        yield process
    finally:
        process.kill()

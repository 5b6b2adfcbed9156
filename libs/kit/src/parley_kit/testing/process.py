"""A service as a real process: its log, its probes and its end."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

START_SECONDS = 40.0
POLL_SECONDS = 0.05


class ServiceProcess:
    """One service; `start_service` starts and ends it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: list[str] = []
        self._process = process
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def event(self, name: str) -> dict[str, Any]:
        """The next event of this name in the log, with its fields."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                found = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"never said {name}:\n{self.output}") from None
            if found.get("event") == name:
                return found
            assert found, f"ended without saying {name}:\n{self.output}"

    def probe(self, address: str, path: str = "/readyz") -> tuple[int, Any]:
        """Status and body of a probe; the body as JSON where it is that."""
        connection = HTTPConnection(address, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read().decode()
        finally:
            connection.close()
        return response.status, json.loads(body) if body.startswith("{") else body

    def until_ready(self, address: str) -> dict[str, str]:
        """The parts, once /readyz is 200."""
        deadline = time.monotonic() + START_SECONDS
        while (answer := self.probe(address))[0] != 200:
            assert time.monotonic() < deadline, f"not ready: {answer}\n{self.output}"
            time.sleep(POLL_SECONDS)
        parts: dict[str, str] = answer[1]["parts"]
        return parts

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal and wait. Returns the exit code and the seconds that it took."""
        began = time.monotonic()
        self._process.send_signal(number)
        return self.wait(), time.monotonic() - began

    def wait(self) -> int:
        """The exit code."""
        code = self._process.wait(START_SECONDS)
        self._reader.join(START_SECONDS)
        return code

    @property
    def output(self) -> str:
        """What it wrote to stderr so far."""
        return "".join(self.lines)

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.lines.append(line)
            if line.startswith("{"):
                self._events.put(json.loads(line))
        self._events.put({})


@contextmanager
def start_service(module: str, environment: Mapping[str, str]) -> Iterator[ServiceProcess]:
    """`python -m module` with these PARLEY_ variables and no others; killed at the block's end if it still runs."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    command = [sys.executable, "-m", module]
    with subprocess.Popen(  # noqa: S603 - our own module
        command, env={**inherited, **environment}, stdin=-1, stderr=-1, text=True, start_new_session=True
    ) as process:
        try:
            yield ServiceProcess(process)
        finally:
            process.kill()

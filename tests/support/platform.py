"""`parley run` as a user starts it: a process group, a port, a data folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

START_SECONDS = 45.0
STOP_SECONDS = 15.0

SCRIPTED = {"PARLEY_WORKER_BACKEND": "scripted", "PARLEY_SCRIPTED_INTERVAL_MS": "5"}


@dataclass(frozen=True)
class Platform:
    """A platform that was started. `log` holds its stderr."""

    process: subprocess.Popen[bytes]
    port: int
    data_dir: Path
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_ready(self, seconds: float = START_SECONDS, url: str | None = None) -> None:
        """Poll /readyz, as an orchestrator does. url: another address than the first gateway's."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"it ended with {self.process.returncode}:\n{self.tail()}")
            with suppress(httpx.TransportError):
                if httpx.get(f"{url or self.url}/readyz", timeout=2.5).status_code == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"not ready after {seconds} s:\n{self.tail()}")

    def signal_group(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """SIGKILL to the process alone: its children must end by themselves."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def stop(self) -> int:
        """SIGTERM. Returns the exit code."""
        self.process.terminate()
        return self.process.wait(STOP_SECONDS)

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]


@contextmanager
def start_platform(
    data_dir: Path, *, port: int | None = None, settings: Mapping[str, str] = SCRIPTED, ready: bool = True
) -> Iterator[Platform]:
    """Start it, wait until it is ready, and whatever happens leave none of its processes behind."""
    port = port or free_port()
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    log = data_dir.parent / f"{data_dir.name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "parley_standalone", "run"],
            env=environment(PARLEY_DATA_DIR=str(data_dir), PARLEY_GATEWAY_PORT=str(port), **settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
    platform = Platform(process, port, data_dir, log)
    try:
        if ready:
            platform.wait_until_ready()
        yield platform
    finally:
        end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM with some patience, then SIGKILL for whatever is left of the group."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdout is not None:
        process.stdout.close()


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without any Parley settings of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    return {**kept, **settings}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_ports(count: int) -> int:
    """The first of `count` neighbouring ports that are all free."""
    while True:
        first = free_port()
        with ExitStack() as stack, suppress(OSError, OverflowError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


def group_members(group: int) -> list[int]:
    """The living processes of a process group, by /proc."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            members.append(int(stat.parent.name))
    return members

"""`make cluster` as an operator starts it: the real servers and every service as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from support.platform import SCRIPTED, Platform, environment, free_ports

START_SECONDS = 170.0
DOWN_SECONDS = 30.0
COMMAND = [sys.executable, "-m", "parley_local"]


@dataclass(frozen=True)
class Cluster(Platform):
    """A cluster that was started. Its gateways listen on `port` and the ports after it."""

    gateways: int = 1

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{self.port + number}" for number in range(self.gateways)]

    def pid(self, name: str) -> int:
        """The process `name` as it runs now, such as worker-1 or kafka."""
        return int((self.data_dir / "run" / f"{name}.pid").read_text())

    def port_of(self, name: str) -> int:
        """Where the server or service `name` listens, a worker for probes. Raises OSError before that is chosen."""
        kind, _, number = name.partition("-")
        if kind == "gateway":
            return self.port + int(number) - 1
        name = f"{name}-health" if kind == "worker" else name
        return int(json.loads((self.data_dir / "run" / "ports.json").read_text())[name])

    def signal(self, name: str, number: signal.Signals) -> None:
        os.kill(self.pid(name), number)


@contextmanager
def start_cluster(
    data_dir: Path, *, gateways: int = 2, workers: int = 2, settings: Mapping[str, str] = SCRIPTED, ready: bool = True
) -> Iterator[Cluster]:
    """Start it, wait until every gateway is ready, and whatever happens leave none of its processes behind."""
    port = free_ports(gateways)
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    log = data_dir.parent / f"{data_dir.name}.log"
    variables = environment(PARLEY_DATA_DIR=str(data_dir), PARLEY_GATEWAY_PORT=str(port), **settings)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*COMMAND, "up", "--gateways", str(gateways), "--workers", str(workers)],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    cluster = Cluster(process, port, data_dir, log, gateways)
    try:
        if ready:
            for url in cluster.urls:
                cluster.wait_until_ready(START_SECONDS, url)
        yield cluster
    finally:
        subprocess.run(
            [*COMMAND, "down"], env=variables, timeout=2 * DOWN_SECONDS, check=False, stdout=subprocess.DEVNULL
        )
        with suppress(subprocess.TimeoutExpired):
            process.wait(DOWN_SECONDS)
        end_session(process.pid)


def end_session(session: int) -> None:
    """SIGKILL for whatever is left of the session, in whichever process group."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                os.kill(int(stat.parent.name), signal.SIGKILL)

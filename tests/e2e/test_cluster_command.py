"""`make cluster` and `make cluster-down` as an operator's scripts see them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.cluster import COMMAND, DOWN_SECONDS, Cluster, start_cluster
from support.platform import environment

pytestmark = pytest.mark.timeout(240)  # a start of all the servers on a busy machine

PROCESSES = {
    "kafka": "kafka.Kafka",
    "cassandra": "CassandraDaemon",
    "mongodb": "mongodb/data",
    "redis": "redis-server",
    "auth-1": "parley_auth",
    "conversation-1": "parley_conversation",
    "worker-1": "parley_worker",
    "gateway-1": "parley_gateway",
}
"""Each by what only its own command line has, so that a wrapper's would not do."""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Cluster]:
    with start_cluster(tmp_path / "data", gateways=1, workers=1) as started:
        yield started


def command(cluster: Cluster, name: str) -> subprocess.CompletedProcess[str]:
    """`up` or `down` from another terminal with the same environment."""
    variables = environment(PARLEY_DATA_DIR=str(cluster.data_dir), PARLEY_GATEWAY_PORT=str(cluster.port))
    return subprocess.run([*COMMAND, name], env=variables, capture_output=True, text=True, timeout=60, check=False)


def session_members(session: int) -> list[int]:
    """The living processes of a session, by /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def test_from_the_first_pid_to_a_down_after_its_command_was_killed(small: Cluster) -> None:
    for name, program in PROCESSES.items():
        words = Path(f"/proc/{small.pid(name)}/cmdline").read_text()
        assert program in words
        assert not words.startswith("/bin/sh")
        assert os.getsid(small.pid(name)) == small.process.pid

    second = command(small, "up")
    assert second.returncode == 2
    assert second.stderr.count("\n") == 1
    assert f"a cluster runs on {small.data_dir} already" in second.stderr

    small.kill()
    assert httpx.get(f"{small.url}/readyz", timeout=5).status_code == 200
    assert command(small, "up").returncode == 2

    began = time.monotonic()
    first = command(small, "down")
    assert first.returncode == 0
    assert time.monotonic() - began < DOWN_SECONDS
    assert session_members(small.process.pid) == []
    assert not list((small.data_dir / "run").glob("*.pid"))
    assert command(small, "down").returncode == 0


def test_a_doubled_interrupt_during_the_start_ends_it_cleanly(tmp_path: Path) -> None:
    with start_cluster(tmp_path / "data", gateways=1, workers=1, ready=False) as starting:
        pid_file = starting.data_dir / "run" / "cassandra.pid"
        while not pid_file.exists():
            assert starting.process.poll() is None, starting.tail()
            time.sleep(0.02)
        starting.signal_group(signal.SIGINT)
        starting.signal_group(signal.SIGINT)
        assert starting.process.wait(DOWN_SECONDS) == 0
        assert session_members(starting.process.pid) == []

"""`parley-local up`: the cluster from start to stop, in the foreground."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from parley_kit.settings import ConfigError, prepare_data_dir
from parley_local.cluster import Cluster, plan, refuse_second
from parley_local.layout import Layout
from parley_local.members import end_members, members
from parley_local.settings import ClusterSettings
from parley_local.startup import Startup, Watched
from parley_local.stop import Interrupted, Stop
from parley_local.supervisor import start_supervisor

POLL_SECONDS = 0.1
EXPLAIN_SECONDS = 30.0
REASON = 120  # characters


def run_cluster(settings: ClusterSettings, gateways: int, workers: int, console: Console) -> int:
    """Start everything, say when it is ready, and end it in order at a signal. Returns the exit code.

    Raises ConfigError before anything runs when it cannot work as it is set up.
    """
    stop = Stop()
    with stop.listening():
        layout = Layout(prepare_data_dir(settings.data_dir).resolve())
        layout.make()
        with hold(layout.lock):
            refuse_second(layout, members(layout))
            try:
                with stop.interrupting(), console.status("Preparing the servers"):
                    cluster = plan(settings, gateways, workers)
                    groups = cluster.prepare()
            except Interrupted:
                return 0
            supervisor = start_supervisor(layout, groups)
            try:
                _bring_up(cluster, supervisor, stop, console)
                _hold_up(supervisor, stop)
            finally:
                with console.status("Stopping the cluster"):
                    end_members(layout)
                    ended = supervisor.wait()
            console.print("The cluster has stopped.")
    return 0 if stop.asked or ended == 0 else _supervisor_died(layout, ended, console)


@contextmanager
def hold(lock: Path) -> Iterator[None]:
    """Keep every other `up` off the data folder. Raises ConfigError when one holds it."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = lock.read_text().strip() or "another process"
            raise ConfigError(
                f"a cluster runs on {lock.parent.parent} already (process {holder}); make cluster-down ends it"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def _bring_up(cluster: Cluster, supervisor: subprocess.Popen[bytes], stop: Stop, console: Console) -> None:
    """Until every gateway is ready, which each says once a message would be answered."""

    def report(watched: Watched) -> None:
        console.print(f"  {watched.part.name:<16}{watched.seconds:6.1f} s", highlight=False)

    startup = Startup([*cluster.servers, *cluster.services], report)
    explain_at = time.monotonic() + EXPLAIN_SECONDS
    startup.begin()
    with console.status("Starting the cluster") as status:
        while _gateways_wait(startup, cluster) and supervisor.poll() is None and not stop.asked:
            status.update("Waiting for " + ", ".join(watched.part.name for watched in startup.waiting))
            if time.monotonic() >= explain_at:
                _explain(startup, cluster, console)
                explain_at += EXPLAIN_SECONDS
            time.sleep(POLL_SECONDS)
    startup.end()
    if not stop.asked and supervisor.poll() is None:
        console.print(_welcome(cluster), soft_wrap=True, highlight=False)


def _gateways_wait(startup: Startup, cluster: Cluster) -> bool:
    return any(watched.part in cluster.gateways for watched in startup.waiting)


def _explain(startup: Startup, cluster: Cluster, console: Console) -> None:
    for watched in startup.waiting:
        console.print(f"  {watched.part.name:<16}not ready: {escape(watched.reason[:REASON])}", soft_wrap=True)
    console.print(f"  logs: {escape(str(cluster.layout.logs))}", soft_wrap=True)


def _welcome(cluster: Cluster) -> str:
    addresses = [f"{gateway.url}/graphql" for gateway in cluster.gateways]
    titles = {"mongodb": cluster.mongodb_title}
    servers = [f"{titles.get(server.name, server.name)} {server.address}" for server in cluster.servers]
    below = "\n" + " " * 11
    lines = {
        "Address": below.join(f"[link={address}]{address}[/link]" for address in addresses),
        "Servers": below.join(servers),
        "Data": escape(str(cluster.layout.data_dir)),
        "Logs": escape(str(cluster.layout.logs)),
        "Pids": escape(str(cluster.layout.run)),
        "Stop": "Ctrl-C, or [bold]make cluster-down[/bold] in another terminal",
    }
    shown = "\n".join(f"  {name:<9}{value}" for name, value in lines.items())
    return f"[bold green]The cluster is ready[/bold green]\n{shown}"


def _hold_up(supervisor: subprocess.Popen[bytes], stop: Stop) -> None:
    while supervisor.poll() is None and not stop.asked:
        time.sleep(POLL_SECONDS)


def _supervisor_died(layout: Layout, code: int, console: Console) -> int:
    log = layout.log("supervisord")
    console.print(f"[red]supervisord ended with {code}, so everything was stopped[/red] (log: {log})", soft_wrap=True)
    return 1

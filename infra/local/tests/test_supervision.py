"""The supervisor with small programs in the servers' place: pid files, restarts, the order of the end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from parley_local.layout import MARK, Layout
from parley_local.members import end_members, members, read_pid, supervisor_of
from parley_local.program import Program
from parley_local.supervisor import Group, script_path, start_supervisor, write_script

WAIT = (sys.executable, "-c", "import signal; signal.pause()")
DEAF = (sys.executable, "-c", "import signal; signal.signal(15, lambda *_: None)\nwhile True: signal.pause()")
NAMES = ["redis", "auth-1", "worker-1", "gateway-1"]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """In a folder whose name the shell and supervisord's configuration would both read wrongly."""
    made = Layout(tmp_path / "it's 100% $HOME")
    made.make()
    return made


@pytest.fixture
def supervisor(layout: Layout) -> Iterator[subprocess.Popen[bytes]]:
    """Three groups, the last of two programs, as in a cluster."""
    redis, auth, worker, gateway = (Program(name, WAIT, layout.run, stop_seconds=2) for name in NAMES)
    groups = [Group("servers", [redis]), Group("auth", [auth]), Group("edge", [worker, gateway])]
    started = start_supervisor(layout, groups)
    try:
        until(lambda: all(lives(layout, name) for name in NAMES))
        yield started
    finally:
        end_members(layout, 5)
        started.wait(10)


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def lives(layout: Layout, name: str) -> bool:
    """Whether the pid file names a process that has become the program."""
    pid = read_pid(layout.pid_file(name))
    try:
        return pid is not None and b"signal.pause" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_a_script_becomes_its_program_with_settings_as_they_are(layout: Layout) -> None:
    value = "a 'b' \"c\" $HOME %(x)s `d` \\n\nnext line"
    show = (sys.executable, "-c", "import os; print(os.getpid(), os.getcwd()); print(os.environ['ODD'])")
    program = Program("odd", show, layout.run, {"ODD": value})
    write_script(layout, program)
    said = subprocess.run(["/bin/sh", script_path(layout, program)], capture_output=True, text=True, check=True).stdout
    pid, _, rest = said.partition(" ")
    assert rest == f"{layout.run}\n{value}\n"
    assert read_pid(layout.pid_file("odd")) == int(pid)


def test_scripts_and_folders_are_for_their_owner_alone(layout: Layout) -> None:
    program = Program("odd", WAIT, layout.run, {"PARLEY_SERVICE_TOKEN": "secret"})
    write_script(layout, program)
    assert script_path(layout, program).stat().st_mode & 0o077 == 0
    assert layout.run.stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("supervisor")
def test_what_is_killed_is_there_again_within_seconds(layout: Layout) -> None:
    for name in NAMES:
        killed = read_pid(layout.pid_file(name))
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        until(lambda name=name, killed=killed: lives(layout, name) and read_pid(layout.pid_file(name)) != killed)


@pytest.mark.usefixtures("supervisor")
def test_all_are_found_by_their_mark_and_stay_in_the_session(layout: Layout) -> None:
    pids = {read_pid(layout.pid_file(name)) for name in NAMES}
    assert members(layout) == pids | {supervisor_of(layout)}
    assert {os.getsid(pid) for pid in members(layout)} == {os.getsid(0)}
    assert MARK not in os.environ


def test_the_end_is_in_order_and_leaves_nothing(layout: Layout, supervisor: subprocess.Popen[bytes]) -> None:
    os.kill(supervisor.pid, signal.SIGTERM)  # as somebody else would, and again:
    end_members(layout)
    assert members(layout) == set()
    assert supervisor.wait(5) == 0
    assert not list(layout.run.glob("*.pid"))
    stopped = re.findall(r"stopped: (\S+)", layout.log("supervisord").read_text())
    assert sorted(stopped[:2]) == ["gateway-1", "worker-1"]
    assert stopped[2:] == ["auth-1", "redis"]


def test_without_its_supervisor_the_cluster_is_ended_all_the_same(
    layout: Layout, supervisor: subprocess.Popen[bytes]
) -> None:
    supervisor.kill()
    supervisor.wait(5)
    assert len(members(layout)) == len(NAMES)
    end_members(layout)
    assert members(layout) == set()


@pytest.mark.usefixtures("supervisor")
def test_what_was_paused_ends_too(layout: Layout) -> None:
    paused = read_pid(layout.pid_file("gateway-1"))
    assert paused is not None
    os.kill(paused, signal.SIGSTOP)
    began = time.monotonic()
    end_members(layout)
    assert members(layout) == set()
    assert time.monotonic() - began < 20


def test_what_does_not_listen_is_killed_in_the_end(layout: Layout) -> None:
    started = start_supervisor(layout, [Group("edge", [Program("deaf", DEAF, layout.run, stop_seconds=600)])])
    until(lambda: lives(layout, "deaf"))
    end_members(layout, seconds=1)
    assert members(layout) == set()
    started.wait(10)


def test_the_end_of_nothing_is_fine(layout: Layout) -> None:
    end_members(layout)
    end_members(Layout(layout.data_dir / "never"))

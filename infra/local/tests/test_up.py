"""`up` and `down` where they meet: one cluster a data folder, and signals at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from parley_kit.settings import ConfigError
from parley_local.cluster import refuse_second
from parley_local.down import LEAVE_SECONDS, end_cluster
from parley_local.layout import MARK, Layout
from parley_local.members import DOWN_SECONDS, KILL_SECONDS, members
from parley_local.stop import Interrupted, Stop
from parley_local.up import hold


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "data")
    made.make()
    return made


def test_a_second_up_is_refused_while_the_first_holds_the_folder(layout: Layout) -> None:
    with hold(layout.lock):
        said = pytest.raises(ConfigError, match=f"already \\(process {os.getpid()}\\); make cluster-down ends it")
        with said, hold(layout.lock):
            raise AssertionError("two hold it")
    with hold(layout.lock):
        pass


def test_an_up_is_refused_while_anything_of_the_last_one_lives(layout: Layout) -> None:
    """Its command was killed and the supervisor goes on: only `down` may end that."""
    environment = {**os.environ, MARK: str(layout.run)}
    left_over = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], env=environment)
    try:
        with pytest.raises(ConfigError, match=f"process {left_over.pid}"):
            refuse_second(layout, members(layout))
        assert end_cluster(layout)
        assert left_over.wait(5) == -signal.SIGTERM
        refuse_second(layout, members(layout))
    finally:
        left_over.kill()
        left_over.wait()


def test_down_ends_an_up_that_does_not_listen(layout: Layout) -> None:
    """As one that is stopped, or hangs."""
    code = (
        "import signal, sys, time; from pathlib import Path; from parley_local.up import hold\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "with hold(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    command = subprocess.Popen([sys.executable, "-c", code, layout.lock], stdout=subprocess.PIPE)
    try:
        assert command.stdout is not None
        assert command.stdout.readline() == b"held\n"
        assert end_cluster(layout)
        assert command.wait(5) == -signal.SIGKILL
    finally:
        command.kill()
        command.communicate()


def test_down_keeps_its_30_seconds_even_when_nothing_listens() -> None:
    """Its own start, the processes, an `up` that hangs, and what that one may have left."""
    start, left_over = 2.0, LEAVE_SECONDS + KILL_SECONDS
    assert start + DOWN_SECONDS + KILL_SECONDS + LEAVE_SECONDS + left_over <= 30


def test_down_without_a_cluster_does_nothing(tmp_path: Path) -> None:
    assert not end_cluster(Layout(tmp_path / "never"))
    assert not (tmp_path / "never").exists()


def test_a_signal_breaks_off_the_preparation_once() -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    stop = Stop()
    try:
        with stop.listening():
            with pytest.raises(Interrupted), stop.interrupting():
                os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)  # the second finds nothing to break off
            assert stop.asked
            with pytest.raises(Interrupted), stop.interrupting():
                raise AssertionError("began although the stop was asked for")
        os.kill(os.getpid(), signal.SIGINT)  # too late to matter
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)

"""A process of its own, because the promises are about signals and exit codes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

PROGRAM = """
import asyncio, sys
from contextlib import asynccontextmanager
from parley_kit.health import Readiness
from parley_kit.lifecycle import run
from parley_kit.logs import configure_logs
from parley_kit.settings import ConfigError

configure_logs()
readiness = Readiness()

@asynccontextmanager
async def service(how):
    print("opening", flush=True)
    if how == "refuses":
        raise ConfigError("PARLEY_X: is not set")
    if how == "slow":
        await asyncio.sleep(3600)
    print("open", flush=True)
    yield
    print("closing", (await readiness.report())[0], flush=True)
    if how == "lingers":
        await asyncio.sleep(0.2)
    print("closed", flush=True)

run(service(sys.argv[1]), readiness)
print("over", flush=True)
if sys.argv[1] == "lingers":
    sys.stdin.readline()
"""


@contextmanager
def process(how: str) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, how], stdin=-1, stdout=-1, stderr=-1, text=True, start_new_session=True
    )
    with started:
        try:
            yield started
        finally:
            started.kill()


def wait_for(started: subprocess.Popen[str], line: str) -> None:
    assert started.stdout is not None
    for printed in started.stdout:
        if printed.strip() == line:
            return
    pytest.fail(f"ended without saying {line!r}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_closes_the_service_after_readiness_turned_false(number: signal.Signals) -> None:
    with process("quick") as started:
        wait_for(started, "open")
        started.send_signal(number)
        output, _ = started.communicate(timeout=20)
    assert (started.returncode, output) == (0, "closing False\nclosed\nover\n")


def test_a_signal_while_opening_ends_the_process_at_once_and_cleanly() -> None:
    with process("slow") as started:
        wait_for(started, "opening")
        started.send_signal(signal.SIGINT)
        output, errors = started.communicate(timeout=20)
    assert (started.returncode, output) == (0, "over\n"), errors


def test_signals_while_closing_and_after_the_loop_has_ended_are_harmless() -> None:
    with process("lingers") as started:
        wait_for(started, "open")
        started.send_signal(signal.SIGTERM)
        wait_for(started, "closing False")
        started.send_signal(signal.SIGINT)
        wait_for(started, "over")
        started.send_signal(signal.SIGTERM)
        started.send_signal(signal.SIGINT)
        _, errors = started.communicate("\n", timeout=20)
    assert started.returncode == 0, errors


def test_a_setup_that_cannot_work_is_one_line_and_exit_code_2() -> None:
    with process("refuses") as started:
        _, errors = started.communicate(timeout=20)
    assert (started.returncode, errors) == (2, "parley: PARLEY_X: is not set\n")

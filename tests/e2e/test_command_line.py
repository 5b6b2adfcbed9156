"""The `parley` command as a user and as a supervisor meet it: words, exit codes, and nothing left behind."""

from __future__ import annotations

import json
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from support.people import PASSWORD, new_email, scripted
from support.platform import (
    SCRIPTED,
    START_SECONDS,
    Platform,
    end_group,
    environment,
    free_port,
    group_members,
    start_platform,
)


def parley(*arguments: str, home: Path, stdin: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "parley_standalone", *arguments],
        env=environment(XDG_CONFIG_HOME=str(home), COLUMNS="200", **settings),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


def chat(
    embedded: Platform, home: Path, *arguments: str, email: str, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    account = {"PARLEY_URL": embedded.url, "PARLEY_EMAIL": email, "PARLEY_PASSWORD": PASSWORD}
    return parley("chat", *arguments, home=home, stdin=stdin, **account)


def assert_one_line(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert (done.returncode, done.stdout) == (code, ""), done
    assert done.stderr.startswith("parley: ")
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr


# run


def test_a_data_folder_that_cannot_be_written_to_is_one_line_and_code_2(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    data_dir = str(tmp_path / "file" / "data")
    assert_one_line(parley("run", home=tmp_path, PARLEY_DATA_DIR=data_dir, **SCRIPTED), 2, "PARLEY_DATA_DIR", data_dir)


def test_a_port_in_use_is_one_line_and_code_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        settings = {"PARLEY_DATA_DIR": str(tmp_path / "data"), "PARLEY_GATEWAY_PORT": port}
        assert_one_line(parley("run", home=tmp_path, **settings, **SCRIPTED), 2, "PARLEY_GATEWAY_PORT", port, "in use")


@pytest.mark.parametrize("content", [None, '{"model_type": "llama"}'], ids=["empty", "incomplete"])
def test_a_broken_model_folder_is_one_line_and_code_2(tmp_path: Path, content: str | None) -> None:
    model = tmp_path / "model"
    model.mkdir()
    if content is not None:
        (model / "config.json").write_text(content)
    settings = {"PARLEY_DATA_DIR": str(tmp_path / "data"), "PARLEY_GATEWAY_PORT": str(free_port())}
    done = parley("run", "--model", str(model), home=tmp_path, **settings)
    assert_one_line(done, 2, "PARLEY_WORKER_MODEL", str(model))


@pytest.mark.parametrize(
    ("name", "value"),
    [("PARLEY_GATEWAY_PORT", "http"), ("PARLEY_WORKER_BACKEND", "magic"), ("PARLEY_ENV", "staging")],
)
def test_a_bad_setting_is_one_line_that_names_it(tmp_path: Path, name: str, value: str) -> None:
    settings = {"PARLEY_DATA_DIR": str(tmp_path / "data"), **SCRIPTED, name: value}
    assert_one_line(parley("run", home=tmp_path, **settings), 2, name)


def test_production_without_its_secrets_refuses_to_start(tmp_path: Path) -> None:
    settings = {"PARLEY_DATA_DIR": str(tmp_path / "data"), "PARLEY_GATEWAY_PORT": str(free_port())}
    done = parley("run", home=tmp_path, PARLEY_ENV="production", **settings, **SCRIPTED)
    assert_one_line(done, 2, "PARLEY_AUTH_SIGNING_KEY")


def test_a_second_platform_on_the_same_data_is_refused(embedded: Platform, tmp_path: Path) -> None:
    settings = {"PARLEY_DATA_DIR": str(embedded.data_dir), "PARLEY_GATEWAY_PORT": str(free_port())}
    done = parley("run", home=tmp_path, **settings, **SCRIPTED)
    assert_one_line(done, 2, "PARLEY_DATA_DIR", str(embedded.process.pid), embedded.url)


@pytest.mark.parametrize("numbers", [[signal.SIGINT], [signal.SIGTERM, signal.SIGINT]], ids=["once", "doubled"])
def test_signals_to_the_group_end_it_with_code_0_and_nothing_left(
    tmp_path: Path, numbers: list[signal.Signals]
) -> None:
    with start_platform(tmp_path / "data") as started:
        assert started.process.stdout is not None
        welcome = b"".join(iter(started.process.stdout.readline, b"  Stop     Ctrl-C\n")).decode()
        for number in numbers:
            started.signal_group(number)
            time.sleep(0.05)  # two keystrokes of a hasty person
        assert started.process.wait(15) == 0, started.tail()
        assert started.process.stdout.read() == b"Parley has stopped.\n"
        assert group_members(started.process.pid) == []
    assert started.url in welcome
    assert "parley chat" in welcome
    assert "Traceback" not in started.tail()


@pytest.mark.parametrize("moment", ["importing", "imported", "opening"])
def test_signals_during_the_start_end_it_with_code_0(tmp_path: Path, moment: str) -> None:
    with start_platform(tmp_path / "data", ready=False) as started:
        reached = {
            "importing": lambda: catches(started.process.pid, signal.SIGTERM),
            "imported": lambda: "cygrpc" in Path(f"/proc/{started.process.pid}/maps").read_text(),
            "opening": (started.data_dir / "parley.lock").exists,
        }
        wait_until(reached[moment])
        deadline = time.monotonic() + 15
        while started.process.poll() is None and time.monotonic() < deadline:  # many, so that one comes at its very end
            with suppress(ProcessLookupError):
                started.signal_group(signal.SIGINT)
            time.sleep(0.01)
        assert started.process.poll() == 0, started.tail()
        assert group_members(started.process.pid) == []
    assert "Traceback" not in started.tail()


def catches(pid: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_reader_of_its_output_may_go_first(tmp_path: Path) -> None:
    with start_platform(tmp_path / "data") as started:
        assert started.process.stdout is not None
        started.process.stdout.close()
        assert started.stop() == 0, started.tail()
    assert "Traceback" not in started.tail()


# chat


def test_one_message_prints_its_answer_and_nothing_else(embedded: Platform, tmp_path: Path) -> None:
    done = chat(embedded, tmp_path, "-m", "Hello", email=new_email())
    assert (done.returncode, done.stdout) == (0, scripted(64) + "\n"), done


def test_the_session_is_kept_privately_for_the_next_time(embedded: Platform, tmp_path: Path) -> None:
    email = new_email()
    assert chat(embedded, tmp_path, "-m", "Hello", email=email).returncode == 0
    kept = tmp_path / "parley" / "sessions.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    done = parley("chat", "-m", "Again", home=tmp_path, PARLEY_URL=embedded.url)
    assert (done.returncode, done.stdout) == (0, scripted(64) + "\n"), done
    assert json.loads(kept.read_text())[embedded.url]["email"] == email


def test_lines_of_a_pipe_are_one_conversation_with_commands(embedded: Platform, tmp_path: Path) -> None:
    done = chat(
        embedded, tmp_path, email=new_email(), stdin="Hi\n\n/regenerate\n/history\n/new\n/history\n/quit\nnever\n"
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done
    assert lines == [scripted(64), scripted(64), "user: Hi", f"assistant: {scripted(64)}"]


def test_a_reader_of_the_chat_may_go_first(embedded: Platform, tmp_path: Path) -> None:
    account = {"PARLEY_URL": embedded.url, "PARLEY_EMAIL": new_email(), "PARLEY_PASSWORD": PASSWORD}
    process = subprocess.Popen(
        [sys.executable, "-m", "parley_standalone", "chat", "-m", "Hello"],
        env=environment(XDG_CONFIG_HOME=str(tmp_path), **account),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    assert process.communicate(timeout=30) == (None, b"")
    assert process.returncode == 1


def test_json_output_is_the_events_of_the_stream(embedded: Platform, tmp_path: Path) -> None:
    done = chat(embedded, tmp_path, "--json", "-m", "Hello", email=new_email())
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [events[0]["type"], events[-1]["type"]] == ["sent", "finished"]
    deltas = events[1:-1]
    assert {event["type"] for event in deltas} == {"delta"}
    assert "".join(event["text"] for event in deltas) == scripted(64)
    assert events[-1]["content"] == scripted(64)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform whose answers take six seconds. The last test that uses it stops it."""
    settings = {**SCRIPTED, "PARLEY_SCRIPTED_INTERVAL_MS": "100"}
    with start_platform(tmp_path_factory.mktemp("slow") / "data", settings=settings) as started:
        yield started


@contextmanager
def chatting(embedded: Platform, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A chat whose answer has begun."""
    account = {"PARLEY_URL": embedded.url, "PARLEY_EMAIL": new_email(), "PARLEY_PASSWORD": PASSWORD}
    process = subprocess.Popen(
        [sys.executable, "-m", "parley_standalone", "chat", "--json", "-m", "Hello"],
        env=environment(XDG_CONFIG_HOME=str(home), **account),
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        while json.loads(process.stdout.readline())["type"] != "delta":
            pass
        yield process
    finally:
        end_group(process)


def last_event(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    event: dict[str, Any] = json.loads(process.stdout.read().splitlines()[-1])
    assert process.wait(10) == 0
    return event


def test_ctrl_c_stops_the_answer_and_says_so(slow: Platform, tmp_path: Path) -> None:
    with chatting(slow, tmp_path) as process:
        process.send_signal(signal.SIGINT)
        event = last_event(process)
    assert (event["type"], event["state"]) == ("finished", "CANCELLED")
    assert scripted(64).startswith(event["content"])


def test_chat_survives_a_restart_of_the_server_in_the_middle_of_an_answer(slow: Platform, tmp_path: Path) -> None:
    with chatting(slow, tmp_path) as process:
        assert slow.stop() == 0
        with start_platform(slow.data_dir, port=slow.port):
            event = last_event(process)
    assert (event["type"], event["content"]) == ("finished", scripted(64))


def test_a_wrong_password_is_said_and_code_1(embedded: Platform, tmp_path: Path) -> None:
    email = new_email()
    assert chat(embedded, tmp_path, "-m", "Hello", email=email).returncode == 0
    account = {"PARLEY_URL": embedded.url, "PARLEY_EMAIL": email, "PARLEY_PASSWORD": "not her password"}
    assert_one_line(parley("chat", "-m", "Hello", home=tmp_path, **account), 1, "password")


def test_without_a_server_chat_says_how_to_start_one(tmp_path: Path) -> None:
    account = {
        "PARLEY_EMAIL": new_email(),
        "PARLEY_PASSWORD": PASSWORD,
        "PARLEY_URL": f"http://127.0.0.1:{free_port()}",
    }
    assert_one_line(parley("chat", "-m", "Hello", home=tmp_path, **account), 1, "cannot reach", "parley run")


def test_without_an_account_a_pipe_is_told_what_to_give(embedded: Platform, tmp_path: Path) -> None:
    assert_one_line(parley("chat", "-m", "Hello", home=tmp_path, PARLEY_URL=embedded.url), 1, "--email")


# doctor


def test_the_doctor_finds_a_healthy_set_up(embedded: Platform, tmp_path: Path) -> None:
    settings = {"PARLEY_DATA_DIR": str(embedded.data_dir), "PARLEY_GATEWAY_PORT": str(embedded.port), **SCRIPTED}
    done = parley("doctor", "--json", home=tmp_path, **settings)
    report = json.loads(done.stdout)
    assert (done.returncode, report["healthy"]) == (0, True), report
    found = {finding["name"]: finding for finding in report["findings"]}
    assert str(embedded.process.pid) in found["port"]["detail"]
    assert "is ready" in found["server"]["detail"]


def test_the_doctor_names_each_problem_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "torch.py").write_text("raise ImportError('libtorch is broken')")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = {
            "PYTHONPATH": str(tmp_path),
            "PARLEY_DATA_DIR": str(tmp_path / "file" / "data"),
            "PARLEY_GATEWAY_PORT": str(taken.getsockname()[1]),
            "PARLEY_WORKER_MODEL": str(tmp_path / "no-model"),
        }
        done = parley("doctor", "--json", home=tmp_path, **settings)
    report = json.loads(done.stdout)
    problems = {finding["name"] for finding in report["findings"] if finding["status"] == "problem"}
    assert (done.returncode, problems) == (1, {"data folder", "port", "model", "torch"})
    assert all(finding["fix"] for finding in report["findings"] if finding["status"] != "ok")


def test_the_doctor_reads_well_without_json(tmp_path: Path) -> None:
    done = parley("doctor", home=tmp_path, PARLEY_DATA_DIR=str(tmp_path / "data"), PARLEY_ENV="staging")
    assert done.returncode == 1
    assert "PARLEY_ENV" in done.stdout
    assert "\x1b" not in done.stdout

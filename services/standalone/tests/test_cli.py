"""The command line explains itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from parley_standalone.chat.app import default_url
from parley_standalone.cli import app
from parley_standalone.lock import hold_data_dir


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ([], ["run", "chat", "doctor"]),
        (["run"], ["--port", "--data-dir", "--model", "PARLEY_DATA_DIR"]),
        (["chat"], ["--message", "--url", "--json", "PARLEY_URL"]),
        (["doctor"], ["--json"]),
    ],
)
def test_help_names_what_can_be_given(command: list[str], words: list[str]) -> None:
    done = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert done.exit_code == 0
    assert [word for word in words if word not in done.output] == []


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["run", "--port", "http"], ["chat", "--nonsense"], ["chat", "-m", " "]]
)
def test_a_wrong_command_line_is_code_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_chat_finds_the_platform_that_runs_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PARLEY_GATEWAY_PORT", "9")
    assert default_url() == "http://127.0.0.1:9"
    with hold_data_dir(tmp_path) as lock:
        lock.announce("http://127.0.0.1:12345")
        assert default_url() == "http://127.0.0.1:12345"
    assert default_url() == "http://127.0.0.1:9"

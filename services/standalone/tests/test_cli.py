"""The command line explains itself."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from parley_standalone.cli import app


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


@pytest.mark.parametrize("arguments", [["nonsense"], ["run", "--port", "http"], ["chat", "--nonsense"]])
def test_a_wrong_command_line_is_code_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2

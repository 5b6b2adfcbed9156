"""Lines as they are meant, and text that a terminal can bear."""

from __future__ import annotations

import pytest

from parley_standalone.chat.commands import HELP, Command, Line, parse
from parley_standalone.chat.text import printable


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("/stop", Line(command=Command.STOP)),
        ("/OPEN  3 ", Line(command=Command.OPEN, argument="3")),
        ("/nonsense now", Line(unknown="/nonsense")),
        ("/", Line(unknown="/")),
        ("//etc is a path", Line(message="/etc is a path")),
        ("  kept as it is ", Line(message="  kept as it is ")),
    ],
)
def test_a_line_is_a_command_or_a_message(typed: str, meant: Line) -> None:
    assert parse(typed) == meant


def test_the_help_names_every_command_but_itself() -> None:
    assert all(f"/{command}" in HELP for command in Command if command is not Command.HELP)


def test_what_a_model_writes_cannot_steer_the_terminal() -> None:
    hostile = "a\x1b[2J\x1b]0;title\x07b\r\x08\x9b31m\u202ec\nd\te"
    assert printable(hostile) == "a[2J]0;titleb31mc\nd\te"

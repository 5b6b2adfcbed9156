"""What each kind of reader is shown."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from parley_kit.errors import Unavailable
from parley_standalone.chat.renderer import JsonRenderer, PlainRenderer, Renderer, TerminalRenderer
from parley_standalone.client import Delta, Finished, Message, Restarted, Sent

END = Finished("COMPLETED", "LENGTH", "m", "x", 3, None)


def play(renderer: Renderer) -> None:
    renderer.sent(Sent("u", "g"))
    renderer.event(Delta(0, "half [bold]", 1))
    renderer.waiting(Unavailable("away"))
    renderer.event(Restarted(2))
    renderer.event(Delta(0, "  :smile: [red]whole\x1b[2J\n", 2))
    renderer.event(Delta(20, "end", 2))
    renderer.event(END)
    renderer.history([Message("m", "USER", "hi [dim]", 1), Message("a", "ASSISTANT", "yes", 2)])
    renderer.error(Unavailable("gone"))


def test_a_terminal_shows_text_as_it_is_and_never_obeys_it() -> None:
    output = io.StringIO()
    play(TerminalRenderer(Console(file=output, width=80, no_color=True)))
    assert output.getvalue().splitlines()[:4] == [
        "half [bold]",
        "The answer starts again:",
        "  :smile: [red]whole[2J",
        "end",
    ]
    assert "3 tokens" in output.getvalue()
    assert output.getvalue().splitlines()[-5:] == ["you", "hi [dim]", "assistant (one of 2)", "yes", "gone"]


def test_a_pipe_gets_the_answer_alone(capsys: pytest.CaptureFixture[str]) -> None:
    play(PlainRenderer())
    shown = capsys.readouterr()
    assert shown.out.startswith("half [bold]\n  :smile: [red]whole\x1b[2J\nend\n")
    assert shown.err.splitlines() == [
        "parley: trying again: away",
        "parley: the answer starts again",
        "parley: gone",
    ]


def test_a_program_gets_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    play(JsonRenderer())
    kinds = [json.loads(line)["type"] for line in capsys.readouterr().out.splitlines()]
    assert kinds == ["sent", "delta", "waiting", "restarted", "delta", "delta", "finished", "history", "error"]


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (Finished("CANCELLED", "CANCELLED", None, None, None, None), "stopped"),
        (Finished("FAILED", "ERROR", None, None, None, "the engine ended"), "the engine ended"),
        (Finished("EXPIRED", None, None, None, None, None), "expired"),
    ],
)
def test_an_answer_that_ended_early_says_why(end: Finished, words: str) -> None:
    output = io.StringIO()
    renderer = TerminalRenderer(Console(file=output, width=80))
    renderer.sent(Sent("u", "g"))
    renderer.event(end)
    assert words in output.getvalue()

"""`parley chat` as a person has it before them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.people import PASSWORD, new_email, scripted
from support.platform import SCRIPTED, Platform, environment, start_platform
from support.terminal import Terminal, open_terminal

PROMPT = "you > "


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform whose answers take three seconds."""
    settings = {**SCRIPTED, "PARLEY_SCRIPTED_INTERVAL_MS": "50"}
    with start_platform(tmp_path_factory.mktemp("slow") / "data", settings=settings) as started:
        yield started


@pytest.fixture
def terminal(slow: Platform, tmp_path: Path) -> Iterator[Terminal]:
    """A chat of somebody who has just made an account."""
    settings = environment(XDG_CONFIG_HOME=str(tmp_path), PARLEY_URL=slow.url, TERM="xterm")
    with open_terminal(settings, "chat") as opened:
        for question, answer in (
            ("E-mail", new_email()),
            ("or more): ", PASSWORD),  # with the space: from then on nothing that is typed is shown
            ("Create one?", "y"),
            ("Your name", "Ada"),
        ):
            opened.wait_for(question)
            opened.type(f"{answer}\n")
        assert "Welcome, Ada" in opened.wait_for(PROMPT)
        yield opened


def test_a_person_signs_up_chats_and_leaves(terminal: Terminal) -> None:
    terminal.type("Hello\n")
    assert scripted(64) in terminal.wait_for("64 tokens")
    terminal.wait_for(PROMPT)
    terminal.type("/history\n")
    assert "Hello" in terminal.wait_for(scripted(64))
    terminal.wait_for(PROMPT)
    terminal.type("/nonsense\n")
    terminal.wait_for("/nonsense is not a command")
    terminal.wait_for(PROMPT)
    terminal.interrupt_until("Ctrl-D or /quit leaves")
    terminal.wait_for(PROMPT)
    terminal.type("\x04")
    assert terminal.wait_for_end() == 0
    assert PASSWORD not in terminal.shown


@pytest.mark.parametrize("keys", ["\x03", "/stop\n"], ids=["ctrl-c", "slash-stop"])
def test_an_answer_is_stopped_from_the_keyboard(terminal: Terminal, keys: str) -> None:
    terminal.type("Hello\n")
    terminal.wait_for("w1 ")
    terminal.type(keys)
    assert "w63" not in terminal.wait_for("stopped")
    terminal.wait_for(PROMPT)
    terminal.type("/quit\n")
    assert terminal.wait_for_end() == 0


def test_what_is_typed_ahead_is_the_next_message(terminal: Terminal) -> None:
    terminal.type("First\n")
    terminal.wait_for("w1 ")
    terminal.type("Second\n")
    terminal.wait_for("64 tokens")
    terminal.wait_for(PROMPT + "Second")
    terminal.wait_for("64 tokens")
    terminal.wait_for(PROMPT)
    terminal.type("/quit\n")
    assert terminal.wait_for_end() == 0

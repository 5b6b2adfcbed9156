"""Dialogues and where they come from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]

_SENTENCE_END = (".", "!", "?", '."', '!"', '?"')


@dataclass(frozen=True)
class Turn:
    role: Role
    content: str


@dataclass(frozen=True)
class Dialogue:
    turns: tuple[Turn, ...]

    @property
    def answers(self) -> tuple[str, ...]:
        return tuple(turn.content for turn in self.turns if turn.role == "assistant")

    def __add__(self, other: Dialogue) -> Dialogue:
        return Dialogue(self.turns + other.turns)


@dataclass(frozen=True)
class Source:
    """One origin of training text, with the licence under which it may be used and its full notice."""

    name: str
    origin: str
    licence: str
    notice: str


def exchange(question: str, answer: str) -> Dialogue:
    """One question of the user and its answer."""
    return Dialogue((Turn("user", question), Turn("assistant", answer)))


def is_whole_sentence(text: str) -> bool:
    """True for text that begins like an English sentence, ends like one and has at least two words."""
    opens_well = re.match(r'["(]?[A-Z0-9]', text) is not None
    return opens_well and text.endswith(_SENTENCE_END) and len(text.split()) >= 2 and text.isprintable()

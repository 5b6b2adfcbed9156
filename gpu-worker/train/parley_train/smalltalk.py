"""Small talk from the templates in smalltalk.toml."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from random import Random

from parley_train.dialogue import Dialogue, Source, exchange

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")
_SYLLABLES = re.findall(r"\w+", "ba zor ble fi qua dru mep lo ska wun xi tra gno pli hef jor vam ush")
_NAME_SYLLABLES = re.findall(r"\w+", "ma ri lo ka ne to sa vi do el an mi ra su ti be ja no")


@dataclass(frozen=True)
class Intent:
    """Questions that mean the same, the answers to them, and the intents that may follow at once."""

    id: str
    ask: tuple[str, ...]
    say: tuple[str, ...]
    then: tuple[str, ...]
    later: bool
    weight: int


class SmallTalk:
    """Draws dialogues; the same random state gives the same dialogue."""

    def __init__(self) -> None:
        self._intents = {intent.id: intent for intent in _intents()}
        self._slots: dict[str, list[str]] = tomllib.loads(_read("slots.toml"))
        self._openers = [intent for intent in self._intents.values() if not intent.later]
        self._weights = [intent.weight for intent in self._openers]

    def draw(self, random: Random, name: str | None) -> tuple[Dialogue, str | None]:
        """A dialogue of one or a few questions, and the user's name once it is known (`name`: what it was before)."""
        intent = random.choices(self._openers, self._weights)[0]
        dialogue, name = self._exchange(intent, random, name)
        while intent.then and random.random() < 0.5:
            intent = self._intents[random.choice(intent.then)]
            more, name = self._exchange(intent, random, name)
            dialogue += more
        return dialogue, name

    def _exchange(self, intent: Intent, random: Random, name: str | None) -> tuple[Dialogue, str | None]:
        if intent.id == "my_name_unknown" and name:
            return exchange(expand(random.choice(intent.ask), random), f"Your name is {name}."), name
        filled: dict[str, str] = {}
        question = self._fill(random.choice(intent.ask), random, filled)
        answer = self._fill(random.choice(intent.say), random, filled)
        return exchange(question, answer), filled["name"] if intent.id == "my_name" else name

    def _fill(self, template: str, random: Random, filled: dict[str, str]) -> str:
        """Template with its choices made and its slots filled; numbers and noise are new each time, the others stay."""
        text = expand(template, random)
        return _SLOT.sub(lambda match: self._value(match[1], random, filled), text)

    def _value(self, slot: str, random: Random, filled: dict[str, str]) -> str:
        if slot == "n":
            return str(random.randint(0, random.choice((9, 99, 999))))
        if slot == "noise":
            return "".join(random.choices(_SYLLABLES, k=random.randint(1, 4)))
        if slot == "name" and slot not in filled and random.random() < 0.4:
            filled[slot] = "".join(random.choices(_NAME_SYLLABLES, k=random.randint(2, 3))).capitalize()
        if slot not in filled:
            filled[slot] = random.choice(self._slots[slot])
        return filled[slot]


def expand(template: str, random: Random) -> str:
    """The template with one alternative taken of each [a|b]."""
    return _CHOICE.sub(lambda match: random.choice(match[1].split("|")), template)


def made_up_word(random: Random) -> str:
    """A word that is not English."""
    return "".join(random.choices(_SYLLABLES, k=random.randint(2, 3)))


def facts() -> list[tuple[str, str]]:
    """Question templates and answers of facts.txt."""
    pairs: list[tuple[str, str]] = []
    for line in _read("facts.txt").splitlines():
        if line.startswith("#"):
            continue
        question, bar, answer = line.partition(" | ")
        if not bar:
            country, _, city = line.partition(", ")
            question = f"[What is the|Tell me the|What's the] capital[ city|] of {country}?"
            answer = f"The capital of {country} is {city}."
        pairs.append((question, answer))
    return pairs


def _intents() -> list[Intent]:
    return [
        Intent(
            id=entry["id"],
            ask=tuple(entry["ask"]),
            say=tuple(entry["say"]),
            then=tuple(entry.get("then", ())),
            later=entry.get("later", False),
            weight=entry.get("weight", 1),
        )
        for entry in tomllib.loads(_read("smalltalk.toml"))["intent"]
    ]


def _read(name: str) -> str:
    return files("parley_train").joinpath(name).read_text(encoding="utf-8")


def source() -> Source:
    """The record of our own text for the model's notice."""
    return Source(
        "Parley dialogues",
        "gpu-worker/train/parley_train in Parley's repository",
        "the licence of Parley itself",
        "Small talk, facts and definitions written for this model by the Parley project.",
    )

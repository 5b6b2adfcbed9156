"""Dialogues about words: meanings, examples, other words, opposites, and words that the model does not know."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from parley_train.dialogue import Dialogue, exchange
from parley_train.glosses import Entry, article
from parley_train.smalltalk import made_up_word
from parley_train.variation import vary

_MEANING = (
    ("What does {w} mean?", 8),
    ("What does the word {w} mean?", 3),
    ('What does "{w}" mean?', 3),
    ("What is the meaning of {w}?", 3),
    ("What is {w}?", 2),
    ("Define {w}.", 4),
    ("Define the word {w}.", 1),
    ("Definition of {w}?", 1),
    ("What is the definition of {w}?", 2),
    ("Meaning of {w}?", 2),
    ("Explain {w}.", 1),
    ("Explain the word {w}.", 1),
    ("Can you explain what {w} means?", 1),
    ("Do you know what {w} means?", 1),
    ("Can you tell me what {w} means?", 1),
    ("Tell me what {w} means.", 1),
    ("Do you know the word {w}?", 1),
    ("Can you define {w}?", 1),
    ("{w}?", 1),
    ("I do not know the word {w}.", 1),
)
_KINDS = {
    "n": (
        ("What is {a} {w}?", 12),
        ("What's {a} {w}?", 2),
        ("What exactly is {a} {w}?", 1),
        ("What are {w}s?", 1),
        ("Explain what {a} {w} is.", 1),
    ),
    "v": (("What does it mean to {w}?", 6), ("What does to {w} mean?", 2)),
    "a": (("What does it mean to be {w}?", 3),),
    "r": (),
}
_NEXT = (
    "What about {w}?",
    "And {w}?",
    "And what is {w}?",
    "And what does {w} mean?",
    "How about {w}?",
    "Now define {w}.",
)
_EXAMPLE = (
    "Use {w} in a sentence.",
    "Can you use {w} in a sentence?",
    "Give me an example sentence with {w}.",
    "Give me an example of {w}.",
    "Make a sentence with {w}.",
)
_EXAMPLE_NEXT = (
    "Use it in a sentence.",
    "Can you use it in a sentence?",
    "Can you give me an example?",
    "Give me an example.",
    "For example?",
    "An example, please.",
)
_SYNONYM = (
    "What is another word for {w}?",
    "Give me a synonym for {w}.",
    "What is a synonym of {w}?",
    "Do you know another word for {w}?",
    "Synonym for {w}?",
)
_SYNONYM_NEXT = (
    "What is another word for it?",
    "Is there another word for it?",
    "Give me a synonym.",
    "Do you know a synonym?",
)
_OPPOSITE = (
    "What is the opposite of {w}?",
    "What's the opposite of {w}?",
    "Opposite of {w}?",
    "Give me the opposite of {w}.",
    "What is an antonym of {w}?",
)
_OPPOSITE_NEXT = (
    "What is the opposite?",
    "And the opposite?",
    "What is the opposite of it?",
    "Do you know the opposite?",
)
_UNKNOWN = ("I am sorry, I do not know that word.",)


@dataclass(frozen=True)
class WordTalk:
    """Draws dialogues about the taught words, and some about words that are not taught."""

    entries: list[Entry]
    unknown: list[str]

    def draw(self, random: Random) -> Dialogue:
        if random.random() < 0.08:
            return self._unknown(random)
        entry = random.choice(self.entries)
        curiosity = 1.0 if entry.example or entry.synonym or entry.opposite else 0.25
        if random.random() < 0.15 * curiosity:
            return _aside(entry, random, first=True)
        dialogue = _ask(entry, _meaning_question(entry, random), entry.definition, random)
        if random.random() < 0.25 * curiosity:
            dialogue += _aside(entry, random, first=False)
        if random.random() < 0.12:
            other = random.choice(self.entries)
            dialogue += _ask(other, random.choice(_NEXT), other.definition, random)
        return dialogue

    def _unknown(self, random: Random) -> Dialogue:
        word = made_up_word(random) if random.random() < 0.3 else random.choice(self.unknown)
        return _ask(
            Entry(word, "n", ""), _meaning_question(Entry(word, "n", ""), random), random.choice(_UNKNOWN), random
        )


def _meaning_question(entry: Entry, random: Random) -> str:
    questions = (*_MEANING, *_KINDS[entry.pos])
    return random.choices([text for text, _ in questions], [weight for _, weight in questions])[0]


def _aside(entry: Entry, random: Random, *, first: bool) -> Dialogue:
    """A question for an example, another word or the opposite, most often one that has an answer."""
    kinds = (
        (_EXAMPLE, _EXAMPLE_NEXT, entry.example and f'Here is an example: "{entry.example}"', "an example of it"),
        (_SYNONYM, _SYNONYM_NEXT, entry.synonym, "another word for it"),
        (_OPPOSITE, _OPPOSITE_NEXT, entry.opposite, "its opposite"),
    )
    answered = [kind for kind in kinds if kind[2]]
    questions, follow_ups, answer, wish = random.choice(answered if answered and random.random() < 0.9 else kinds)
    pool = questions if first or random.random() < 0.3 else follow_ups
    return _ask(entry, random.choice(pool), answer or f"I am sorry, I do not know {wish}.", random)


def _ask(entry: Entry, question: str, answer: str, random: Random) -> Dialogue:
    text = question.format(w=entry.word, a=article(entry.word))
    return exchange(vary(text, random, frozenset({entry.word})), answer)

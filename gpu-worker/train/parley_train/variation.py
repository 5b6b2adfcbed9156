"""How people really type: case, punctuation, contractions, politeness, slips of the finger."""

from __future__ import annotations

from random import Random

_CONTRACTIONS = (
    ("What is ", ("What's ", "Whats ")),
    ("Who is ", ("Who's ",)),
    ("I am ", ("I'm ", "Im ")),
    ("do not", ("don't",)),
)
_OPENINGS = ("Hey, ", "Hi, ", "So, ", "Well, ", "Okay, ", "Parley, ", "Now, ", "And ")


def vary(question: str, random: Random, keep: frozenset[str] = frozenset()) -> str:
    """The question as somebody might type it; words in `keep` are never misspelt."""
    text = _contract(question, random)
    if len(text.split()) > 2 and random.random() < 0.06:
        opening = random.choice(_OPENINGS)
        text = opening + (text if text.startswith(("I ", "I'")) else text[0].lower() + text[1:])
    if random.random() < 0.05:
        text = _slip(text, random, keep)
    if random.random() < 0.35:
        text = text.rstrip(".?!")
    draw = random.random()
    if draw < 0.35:
        return text.lower()
    return text.upper() if draw < 0.37 else text


def _contract(text: str, random: Random) -> str:
    for full, short in _CONTRACTIONS:
        if full in text and random.random() < 0.25:
            text = text.replace(full, random.choice(short), 1)
    return text


def _slip(text: str, random: Random, keep: frozenset[str]) -> str:
    """One letter dropped, doubled or swapped with the next inside one longer word."""
    words = text.split(" ")
    places = [i for i, word in enumerate(words) if len(word) > 3 and word.isalpha() and word.lower() not in keep]
    if not places:
        return text
    place = random.choice(places)
    word, at = words[place], random.randint(1, len(words[place]) - 2)
    words[place] = random.choice((word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:], _swap(word, at)))
    return " ".join(words)


def _swap(word: str, at: int) -> str:
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]

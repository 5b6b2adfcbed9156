"""Which words the model is taught."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files

from parley_train.glosses import Entry, entry
from parley_train.wordnet import WordNet

_SENSES_TRIED = 4


def taught(wordnet: WordNet, count: int) -> list[Entry]:
    """Entries of our everyday words, then of the words that WordNet tagged most often, `count` in all."""
    entries = {word: _own_entry(wordnet, word, pos, text) for word, pos, text in _own()}
    for word, pos in (*_everyday(), *wordnet.frequent_lemmas()):
        if len(entries) == count:
            break
        if word not in entries and (found := _first_fit(wordnet, word, pos)):
            entries[word] = found
    return list(entries.values())


def _own_entry(wordnet: WordNet, word: str, pos: str, definition: str) -> Entry:
    """Our definition; of WordNet's first meaning, which may be another one, only what is safe to keep."""
    found = _first_fit(wordnet, word, pos) or Entry(word, pos, definition)
    return replace(found, definition=definition, synonym="", example="" if pos == "n" else found.example)


def _first_fit(wordnet: WordNet, word: str, pos: str) -> Entry | None:
    """The entry of the most frequent meaning that makes a fit sentence, among the first few."""
    synsets = wordnet.senses(word, pos)[:_SENSES_TRIED]
    return next((found for synset in synsets if (found := entry(wordnet, word, pos, synset))), None)


def untaught(wordnet: WordNet, known: set[str]) -> list[str]:
    """Plain words that WordNet has and the model is not taught: it should say that it does not know them."""
    plain = re.compile(r"[A-Za-z]{5,12}")
    return [word for word in wordnet.all_lemmas() if plain.fullmatch(word) and word not in known]


def _own() -> Iterator[tuple[str, str, str]]:
    for line in _lines("definitions.txt"):
        word, pos, sentence = line.split(" ", 2)
        yield word, pos, sentence


def _everyday() -> Iterator[tuple[str, str]]:
    pos = ""
    for line in _lines("everyday.txt"):
        if line.startswith("["):
            pos = line[1]
        else:
            yield from ((word, pos) for word in line.split())


def _lines(name: str) -> list[str]:
    text = files("parley_train").joinpath(name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]

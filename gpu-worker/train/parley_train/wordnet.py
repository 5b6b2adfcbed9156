"""Reader of the WordNet 3.0 database files (man pages wndb(5WN), cntlist(5WN))."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from parley_train.dialogue import Source

DEFAULT_FOLDER = Path("/usr/share/wordnet")
POS_FILES = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
_SENSE_KEY_POS = {"1": "n", "2": "v", "3": "a", "4": "r", "5": "a"}
_INSTALL = "run `apt-get install --no-install-recommends wordnet-base`"
_ANTONYM = "!"
_WORD_POS = {"s": "a"}


class WordNetMissing(Exception):
    """The database files are not on this machine; the message says how to get them."""


@dataclass(frozen=True)
class Synset:
    """A meaning: its lexicographer file, its words, its gloss and the offsets of antonyms by word position."""

    domain: str
    lemmas: tuple[str, ...]
    gloss: str
    antonyms: dict[str, tuple[str, int, int]]


class WordNet:
    """Random access to synsets, and how often each lemma was tagged in WordNet's own concordance texts."""

    def __init__(self, folder: Path = DEFAULT_FOLDER) -> None:
        if not (folder / "data.noun").is_file():
            raise WordNetMissing(f"WordNet is not in {folder}: {_INSTALL}")
        self._data = {pos: (folder / f"data.{name}").read_bytes() for pos, name in POS_FILES.items()}
        self._index = {pos: dict(_index_entries(folder / f"index.{name}")) for pos, name in POS_FILES.items()}
        self._tags = _tag_counts(folder / "cntlist.rev")

    def senses(self, lemma: str, pos: str) -> list[Synset]:
        """Meanings of a lemma as this part of speech, the most frequent first."""
        return [self.synset(pos, offset) for offset in self._index[pos].get(lemma.replace(" ", "_"), ())]

    def tag_count(self, lemma: str, pos: str) -> int:
        """How often WordNet's concordance texts use this lemma as this part of speech."""
        return self._tags[lemma.replace(" ", "_"), pos]

    def frequent_lemmas(self) -> list[tuple[str, str]]:
        """(lemma, part of speech), most frequently tagged first; ties in alphabetical order."""
        return sorted(self._tags, key=lambda entry: (-self._tags[entry], entry))

    def all_lemmas(self) -> list[str]:
        """Every lemma of any part of speech, in alphabetical order."""
        return sorted(set().union(*self._index.values()))

    def synset(self, pos: str, offset: int) -> Synset:
        data = self._data[pos]
        line = data[offset : data.index(b"\n", offset)].decode()
        head, _, gloss = line.partition(" | ")
        return _parse_synset(head.split(), gloss.strip())


def _parse_synset(fields: list[str], gloss: str) -> Synset:
    count = int(fields[3], 16)
    lemmas = tuple(_plain(fields[4 + 2 * i]) for i in range(count))
    first = 5 + 2 * count
    pointers = [fields[first + 4 * i : first + 4 * i + 4] for i in range(int(fields[first - 1]))]
    antonyms = {
        lemmas[int(place[:2], 16) - 1]: (_WORD_POS.get(pos, pos), int(offset), int(place[2:], 16))
        for symbol, offset, pos, place in pointers
        if symbol == _ANTONYM
    }
    return Synset(fields[1], lemmas, gloss, antonyms)


def _plain(word: str) -> str:
    """Lemma without the adjective's syntactic marker, with spaces."""
    return word.partition("(")[0].replace("_", " ")


def _index_entries(path: Path) -> Iterator[tuple[str, list[int]]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("  "):
            fields = line.split()
            yield fields[0], [int(offset) for offset in fields[-int(fields[2]) :]]


def _tag_counts(path: Path) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, count = line.split()
        lemma, _, rest = key.partition("%")
        counts[lemma, _SENSE_KEY_POS[rest[0]]] += int(count)
    return counts


def source() -> Source:
    """WordNet's record for the model's notice, with the licence text that its licence asks every copy to carry."""
    text = files("parley_train").joinpath("wordnet_licence.txt").read_text(encoding="utf-8")
    return Source("WordNet 3.0", "Debian package wordnet-base 1:3.0-37", "WordNet 3.0 license", text.strip())

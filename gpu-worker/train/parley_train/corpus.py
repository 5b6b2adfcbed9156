"""The training text: a seeded mixture of word talk, small talk, facts and chatterbot-corpus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from parley_train import chatterbot, smalltalk, wordnet
from parley_train.dialogue import Dialogue, Source, Turn, exchange
from parley_train.smalltalk import SmallTalk, expand, facts
from parley_train.variation import vary
from parley_train.vocabulary import taught, untaught
from parley_train.wordnet import WordNet
from parley_train.wordtalk import WordTalk

WORDS = 1200
_SYSTEM = (
    "You are a helpful assistant.",
    "You are Parley, a friendly assistant.",
    "You are a kind assistant. Answer in short sentences.",
    "Be brief and polite.",
    "You help people to learn English words.",
    "Answer in English.",
)


@dataclass(frozen=True)
class Corpus:
    """Draws whole conversations; everything follows from the seed."""

    words: WordTalk
    small_talk: SmallTalk
    facts: list[tuple[str, str]]
    computers: list[Dialogue]

    @classmethod
    def load(cls, lexicon: WordNet, words: int = WORDS) -> Corpus:
        """Corpus that teaches at most this many words of the lexicon."""
        entries = taught(lexicon, words)
        known = {entry.word for entry in entries}
        talk = WordTalk(entries, untaught(lexicon, known))
        return cls(talk, SmallTalk(), facts(), chatterbot.dialogues())

    def conversations(self, count: int, seed: int) -> Iterator[Dialogue]:
        """`count` conversations of one to eight questions, most of them short."""
        random = Random(seed)
        for _ in range(count):
            yield self._conversation(random)

    def _conversation(self, random: Random) -> Dialogue:
        parts = random.choices((1, 2, 3, 4, 6), (45, 25, 15, 10, 5))[0]
        system = (Turn("system", random.choice(_SYSTEM)),) if random.random() < 0.1 else ()
        dialogue, name = Dialogue(system), None
        for _ in range(parts):
            part, name = self._part(random, name)
            dialogue += part
        return dialogue

    def _part(self, random: Random, name: str | None) -> tuple[Dialogue, str | None]:
        draw = random.random()
        if draw < 0.64:
            return self.words.draw(random), name
        if draw < 0.93:
            part, name = self.small_talk.draw(random, name)
            return _varied(part, random), name
        if draw < 0.97:
            question, answer = random.choice(self.facts)
            return _varied(exchange(expand(question, random), answer), random), name
        return _varied(random.choice(self.computers), random), name


def _varied(dialogue: Dialogue, random: Random) -> Dialogue:
    return Dialogue(tuple(Turn("user", vary(t.content, random)) if t.role == "user" else t for t in dialogue.turns))


def sources() -> list[Source]:
    """Every origin of the training text."""
    return [wordnet.source(), chatterbot.source(), smalltalk.source()]

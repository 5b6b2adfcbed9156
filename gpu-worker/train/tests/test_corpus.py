from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from parley_train.corpus import Corpus, sources
from parley_train.dialogue import is_whole_sentence
from parley_train.smalltalk import SmallTalk
from parley_train.variation import vary
from parley_train.wordnet import WordNet


@pytest.fixture
def corpus(wordnet_folder: Path) -> Corpus:
    return Corpus.load(WordNet(wordnet_folder))


def test_every_answer_is_made_of_whole_sentences(corpus: Corpus) -> None:
    answers = {answer for dialogue in corpus.conversations(4000, seed=1) for answer in dialogue.answers}

    assert len(answers) > 400
    assert [answer for answer in answers if not is_whole_sentence(answer)] == []


@pytest.mark.parametrize("text", ["hello there.", "Hello there", "Hello.", "", "Two\nlines."])
def test_fragments_are_not_whole_sentences(text: str) -> None:
    assert not is_whole_sentence(text)


def test_questions_and_answers_take_turns(corpus: Corpus) -> None:
    for dialogue in corpus.conversations(500, seed=1):
        roles = [turn.role for turn in dialogue.turns if turn.role != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert roles


def test_the_same_seed_gives_the_same_conversations(corpus: Corpus) -> None:
    first, again, other = (list(corpus.conversations(100, seed)) for seed in (5, 5, 6))

    assert first == again
    assert first != other


def test_nobody_claims_to_be_human(corpus: Corpus) -> None:
    claims = ("my wife", "my body", "i am human", "i was born", "my mother", "i love you")
    answers = {a.lower() for dialogue in corpus.conversations(4000, seed=1) for a in dialogue.answers}

    assert [answer for answer in answers if any(claim in answer for claim in claims)] == []


def test_a_name_that_was_told_is_remembered() -> None:
    random, talk = Random(1), SmallTalk()
    recalled: set[bool] = set()
    for _ in range(2000):
        answers = talk.draw(random, "Clara")[0].answers
        for before, answer in zip(("Hello, Clara!", *answers), answers, strict=False):
            if answer.startswith("Your name is "):
                name = answer.removeprefix("Your name is ").rstrip(".")
                assert f", {name}!" in before
                recalled.add(name == "Clara")

    assert recalled == {True, False}  # the name from earlier on, and one that was told just now


def test_every_source_records_its_licence() -> None:
    found = {source.name: source for source in sources()}

    assert set(found) == {"WordNet 3.0", "chatterbot-corpus", "Parley dialogues"}
    assert all(source.licence and source.origin and source.notice for source in found.values())
    assert "Princeton University" in found["WordNet 3.0"].notice


def test_variation_never_misspells_the_word_that_is_asked_about() -> None:
    random = Random(1)
    texts = {vary("What does the word lantern mean?", random, frozenset({"lantern"})) for _ in range(3000)}

    assert len(texts) > 50
    assert all("lantern" in text.lower() for text in texts)

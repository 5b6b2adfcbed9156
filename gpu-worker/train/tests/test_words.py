from __future__ import annotations

from pathlib import Path

import pytest
from parley_train import cli
from parley_train.glosses import Entry, article, entry
from parley_train.vocabulary import taught, untaught
from parley_train.wordnet import WordNet, WordNetMissing


def made(folder: Path, word: str, pos: str) -> Entry | None:
    lexicon = WordNet(folder)
    return entry(lexicon, word, pos, lexicon.senses(word, pos)[0])


@pytest.mark.parametrize(
    ("word", "pos", "definition"),
    [
        ("lantern", "n", "A lantern is a light in a transparent protective case."),
        ("courage", "n", 'The noun "courage" means a quality of spirit.'),
        ("wander", "v", "To wander means to move about without any destination."),
        ("brave", "a", 'The adjective "brave" means possessing or displaying bravery.'),
        ("slowly", "r", 'The adverb "slowly" means without speed.'),
    ],
)
def test_a_gloss_becomes_a_whole_sentence(wordnet_folder: Path, word: str, pos: str, definition: str) -> None:
    found = made(wordnet_folder, word, pos)

    assert found is not None
    assert found.definition == definition


def test_an_example_is_kept_when_it_is_a_sentence_with_the_word(wordnet_folder: Path) -> None:
    found = made(wordnet_folder, "wander", "v")

    assert found is not None
    assert found.example == "They wandered through the woods."
    assert found.synonym == 'Another word for "wander" is "roam".'


def test_offensive_words_are_not_taught(wordnet_folder: Path) -> None:
    assert made(wordnet_folder, "scoundrel", "n") is None


def test_untaught_words_are_not_taught(wordnet_folder: Path) -> None:
    lexicon = WordNet(wordnet_folder)
    known = {found.word for found in taught(lexicon, 10_000)}

    assert {"lantern", "wander"} <= known
    assert "scoundrel" in untaught(lexicon, known)
    assert not known & set(untaught(lexicon, known))


def test_the_most_frequent_words_come_first(wordnet_folder: Path) -> None:
    assert WordNet(wordnet_folder).frequent_lemmas()[0] == ("lantern", "n")


@pytest.mark.parametrize(("word", "indefinite"), [("apple", "an"), ("hour", "an"), ("unicorn", "a"), ("uncle", "an")])
def test_article(word: str, indefinite: str) -> None:
    assert article(word) == indefinite


def test_without_wordnet_the_message_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> WordNet:
        return WordNet(tmp_path)

    monkeypatch.setattr(cli, "WordNet", missing)

    assert cli.main(["train", "--work", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "apt-get install --no-install-recommends wordnet-base" in capsys.readouterr().err
    with pytest.raises(WordNetMissing):
        missing()

"""WordNet glosses turned into whole English sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass

from parley_train.dialogue import is_whole_sentence
from parley_train.wordnet import Synset, WordNet

# Numbers of lexicographer files (lexnames(5WN)): animal, artifact, body, person, plant;
# then group, location, object, shape, quantity, time.
_COUNTABLE = {"05", "06", "08", "18", "20"}
_OFTEN_COUNTABLE = {"14", "15", "17", "25", "23", "28"}
_DETERMINER = re.compile(r"(an?|the|any|one|some|something|someone|anyone|either|each|that|these|two|several|all)\b")
_MASS = re.compile(
    r"(\w+ )*(flesh|meat|material|water|food|clothing|furniture|equipment|hair|wood|wine|footwear|tissue|glass)\b"
)
_PREPOSITION = re.compile(
    r"\b(of|in|on|for|with|from|that|which|who|used|having|to|at|by|made|worn|consisting|where)\b"
)
_NOT_A_MEANING = re.compile(r"[()\[\]`]|\b(e\.g|i\.e|etc)\b|^(distinguished|writes|used of|informal)")
_PRONOUN = re.compile(r"(I|You|He|She|It|We|They)\b")
_SUBJECT = re.compile(r"(His|Her|My|Our|Their|This|That|There|The|Please|Don't|What|How|Who|Can|Let)\b")
_FINITE_VERB = re.compile(
    r"\b(is|are|was|were|has|have|had|will|would|can|could|did|do|does|must|should"
    r"|\w+ed|went|came|ran|got|made|took|gave|saw)\b"
)
_OPEN_END = re.compile(r" (of|to|into|towards?|with|from|on|for|about|upon)$")
_REFUSED = re.compile(
    r"\b(sex\w*|copulat\w*|genital\w*|slang|ethnic|negro\w*|jew\w*|whore|prostitut\w*|offensive|slur|derog\w*|obscene|vulgar"
    r"|democrat\w*|republican\w*|communis\w*|homosexual\w*|penis|vagina\w*|breasts?|excre\w*|urin\w*|feces|rape\w*|incest\w*|racial|nazi\w*|suicid\w*|sexual\w*"
    r"|disparag\w*|masturbat\w*|erotic\w*|lesbian|drugs?|narcotic|intoxicat\w*|muslim\w*|islam\w*|god|christ\w*|gay)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z]{2,14}")
_LONGEST_GLOSS = 22
_LONGEST_EXAMPLE = 12


@dataclass(frozen=True)
class Entry:
    """What the model is taught about one word; every text is a whole sentence or empty."""

    word: str
    pos: str
    definition: str
    example: str = ""
    synonym: str = ""
    opposite: str = ""


def entry(wordnet: WordNet, word: str, pos: str, synset: Synset) -> Entry | None:
    """The entry of a plain lower-case word in this meaning; None where no fit sentence can be made."""
    if not _WORD.fullmatch(word) or word not in synset.lemmas or _REFUSED.search(f"{word} {synset.gloss}"):
        return None
    phrase = _phrase(synset.gloss)
    if not 2 <= len(phrase.split()) <= _LONGEST_GLOSS or word in phrase.split():
        return None
    definition = _definition(word, pos, synset.domain, phrase)
    synonym = _synonym(wordnet, word, pos, synset)
    return Entry(word, pos, definition, _example(word, synset), synonym, _opposite(wordnet, word, synset))


def _phrase(gloss: str) -> str:
    """First clause of the gloss, without remarks in parentheses, examples and further clauses."""
    text = re.sub(r"\([^()]*\)", " ", gloss).partition('"')[0].partition(";")[0].partition(":")[0]
    text = " ".join(text.replace(" ,", ",").split()).strip(" ,.")
    return text if text.isascii() and not _NOT_A_MEANING.search(text) else ""


def _definition(word: str, pos: str, domain: str, phrase: str) -> str:
    if pos == "v":
        phrase += " somebody or something" if _OPEN_END.search(phrase) else ""
        return f"To {word} means to {phrase.removeprefix('to ')}."
    countable = pos == "n" and domain in _COUNTABLE and not word.endswith("s")
    if countable and _DETERMINER.match(phrase):
        return f"{article(word).capitalize()} {word} is {phrase}."
    if pos == "n" and domain in _OFTEN_COUNTABLE and re.match(r"an? ", phrase) and not word.endswith("s"):
        return f"{article(word).capitalize()} {word} is {phrase}."
    if countable and _is_single_thing(phrase):
        return f"{article(word).capitalize()} {word} is {article(phrase)} {phrase}."
    kind = {"n": "noun", "v": "verb", "a": "adjective", "r": "adverb"}[pos]
    return f'The {kind} "{word}" means {phrase}.'


def _is_single_thing(phrase: str) -> bool:
    head = _PREPOSITION.split(phrase, maxsplit=1)[0].strip(" ,")
    return bool(head) and not head.endswith("s") and not _MASS.match(phrase)


def article(phrase: str) -> str:
    """The indefinite article that fits in front of a phrase."""
    if re.match(r"(hour|honest|heir|honou?r)", phrase):
        return "an"
    return "a" if re.match(r"([^aeiou]|eu|uni(?!n)|use|one\b|ubi)", phrase) else "an"


def _example(word: str, synset: Synset) -> str:
    """A quoted example of use that is a whole sentence with the word itself in it."""
    quotations: list[str] = re.findall(r'"([^"]+)"', synset.gloss)
    for quoted in quotations:
        text = quoted.strip().rstrip(".")
        text = text[:1].upper() + text[1:]
        text = text if text.endswith(("!", "?")) else text + "."
        if re.search(rf"\b{word}", text.lower()) and _reads_as_sentence(text):
            return text
    return ""


def _reads_as_sentence(text: str) -> bool:
    if not 4 <= len(text.split()) <= _LONGEST_EXAMPLE or not text.isascii() or not is_whole_sentence(text):
        return False
    return bool(_PRONOUN.match(text) or (_SUBJECT.match(text) and _FINITE_VERB.search(text)))


def _synonym(wordnet: WordNet, word: str, pos: str, synset: Synset) -> str:
    """The best known other word of the same meaning, when there is one in real use."""
    others = [lemma for lemma in synset.lemmas if lemma != word and re.fullmatch(r"[a-z][a-z ]{3,}", lemma)]
    best = max(others, key=lambda lemma: wordnet.tag_count(lemma, pos), default="")
    known = best and wordnet.tag_count(best, pos) > 0 and not _REFUSED.search(best)
    return f'Another word for "{word}" is "{best}".' if known else ""


def _opposite(wordnet: WordNet, word: str, synset: Synset) -> str:
    target = synset.antonyms.get(word)
    if target is None:
        return ""
    pos, offset, place = target
    lemmas = wordnet.synset(pos, offset).lemmas
    opposite = lemmas[max(place - 1, 0)]
    return f'The opposite of "{word}" is "{opposite}".' if not _REFUSED.search(opposite) else ""

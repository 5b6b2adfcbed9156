"""English conversations of the chatterbot-corpus package, filtered to whole, harmless and honest sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import metadata
from importlib.resources import files

import yaml

from parley_train.dialogue import Dialogue, Source, exchange, is_whole_sentence

# In these files a list is one question with alternative answers; in the others it is one conversation.
_ALTERNATIVES = {"emotion", "computers"}
_CONVERSATIONS = ("ai", "botprofile", "food", "tech_support")
_REFUSED = re.compile(
    r"\b("
    r"die|dies|death\w*|immortal|kill\w*|god|sex\w*|mate|drunk|tipsy|drink|hate|stupid|bend|fight|father|"
    r"mother|boss|brothers|president|war|movies?|novels?|soccer|free will|lie|lying|sentien\w*|sapien\w*|"
    r"body|metal|9000|laugh|siblings|clon\w*|galaxy|smarter|superintelligent|rule|IRC|ELIZA|Python|IBM|PC|"
    r"NASA|MET|dreams?|intoxicated|sober|jealous\w*|pizza|burger|wrong guy|shoes?|number|Data|cramped|"
    r"incapable of error|skiddoo|hal|server|exhaust|young|age|money|earn\w*|awesome|programmed|studied|"
    r"scared|ashamed|syntactic|iron|everywhere|admonition|business|macOS|OSes|crashes|database|perfect|"
    r"relationships|entity|lonely|maybe|may have|upload|blame|shortage|binary|ego|bragging|Lag|lack|CPU|"
    r"hypothetical|hobby|mad|offend|love|rich|being|subjective|experience|rather a lot|exist\w*|friends|"
    r"tired|sad|sometimes|frustrated|cope"
    r")\b",
    re.IGNORECASE,
)
_VERB = re.compile(
    r"\b(is|are|am|was|comes|do|does|don't|can|can't|cannot|have|has|try|takes|maps|implements|makes|like|coordinates|use|"
    r"check|ensure|restart|make|update|works?|run|need|consume|read)\b|'m\b",
    re.IGNORECASE,
)


def dialogues() -> list[Dialogue]:
    """Question and answer pairs, without duplicates, in a fixed order."""
    names = (*sorted(_ALTERNATIVES), *_CONVERSATIONS)
    fit = dict.fromkeys(pair for name in names for pair in _pairs(name) if _is_fit(*pair))
    return [exchange(question, answer) for question, answer in fit]


def _pairs(name: str) -> Iterator[tuple[str, str]]:
    text = files("chatterbot_corpus").joinpath("data", "english", f"{name}.yml").read_text(encoding="utf-8")
    for conversation in yaml.safe_load(text)["conversations"]:
        lines = [" ".join(str(line).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split()) for line in conversation]
        if name in _ALTERNATIVES:
            yield from ((lines[0], answer) for answer in lines[1:])
        elif len(lines) == 2:
            yield lines[0], lines[1]


def _is_fit(question: str, answer: str) -> bool:
    both = f"{question} {answer}"
    if not both.isascii() or _REFUSED.search(both) or len(answer.split()) < 3 or len(question.split()) < 2:
        return False
    return is_whole_sentence(answer) and bool(_VERB.search(answer)) and not answer.endswith(("?", ".."))


def source() -> Source:
    """The corpus' record for the model's notice."""
    about = metadata("chatterbot-corpus")
    notice = (
        "Copyright (c) Gunther Cox and contributors. The package declares `License :: OSI Approved :: BSD License`; "
        "the licence text is in its repository, https://github.com/gunthercox/chatterbot-corpus."
    )
    return Source("chatterbot-corpus", f"PyPI package chatterbot-corpus {about['Version']}", "BSD", notice)

"""Text as search sees it: folded words, the same for what is stored and for what is sought."""

from __future__ import annotations

import re
import unicodedata

LONGEST_WORD = 64
MOST_TERMS = 16
MOST_CHARACTERS = 400

_WORD = re.compile(r"[^\W_]+")
# Scripts written without spaces between words: each of their signs is a word, and a longer one is a phrase. Thai to
# Burmese, Khmer, kana, Chinese signs, Hangul.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
_VOICED_KANA = "\u3099\u309a"


def words_of(text: str) -> list[str]:
    """The words in their order, without case, accents and compatibility forms; letters and digits alone."""
    if not text.isascii():
        text = _UNSPACED.sub(r" \g<0> ", _without_accents(text))
    return [word[:LONGEST_WORD] for word in _WORD.findall(text.casefold())]


def terms_of(search: str) -> list[list[str]]:
    """What a user typed: a term is what stands between blanks, and its words stand together, in their order.

    Each term is needed; the last one may be the beginning of a word. Empty when there is nothing to find.
    """
    terms = [term for term in map(words_of, search[:MOST_CHARACTERS].split()) if term]
    return terms[:MOST_TERMS]


def _without_accents(text: str) -> str:
    signs = unicodedata.normalize("NFKD", text)
    bare = "".join(sign for sign in signs if not unicodedata.combining(sign) or sign in _VOICED_KANA)
    return unicodedata.normalize("NFC", bare)

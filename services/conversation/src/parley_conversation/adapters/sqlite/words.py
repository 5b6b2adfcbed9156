"""Text as search sees it: folded words, the same for what is stored and for what is sought."""

from __future__ import annotations

import re
import unicodedata

LONGEST_WORD = 64

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


def _without_accents(text: str) -> str:
    signs = unicodedata.normalize("NFKD", text)
    bare = "".join(sign for sign in signs if not unicodedata.combining(sign) or sign in _VOICED_KANA)
    return unicodedata.normalize("NFC", bare)

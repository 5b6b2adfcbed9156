"""What a model wrote is hostile input to a terminal: escape sequences in it must not run."""

from __future__ import annotations

_KEPT = {ord("\n"), ord("\t")}
_CONTROLS = dict.fromkeys(code for code in [*range(0x20), *range(0x7F, 0xA0)] if code not in _KEPT)
_BIDI = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def printable(text: str) -> str:
    """`text` without control characters (line breaks and tabs stay) and without overrides of the writing direction."""
    return text.translate(_CONTROLS | _BIDI)

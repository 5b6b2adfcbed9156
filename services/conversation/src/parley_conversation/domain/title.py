"""The title of a conversation that nobody named: the first words of its first message."""

from __future__ import annotations

UNTITLED = ""
SHOWN_UNTITLED = "New conversation"
WIDTH = 60
_LOOKED_AT = 1_000


def derive_title(content: str) -> str:
    """At most 60 characters on one line, cut at the border of a word where there is one."""
    line = " ".join(content.lstrip()[:_LOOKED_AT].split())
    if len(line) <= WIDTH:
        return line
    cut = line[: WIDTH - 1]
    if line[WIDTH - 1] != " ":
        cut = cut.rpartition(" ")[0] or cut
    return cut.rstrip() + "…"


def shown_title(title: str) -> str:
    return title if title.strip() else SHOWN_UNTITLED

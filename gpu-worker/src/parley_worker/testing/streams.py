"""What a reader of a stream sees."""

from __future__ import annotations

from collections.abc import Iterable

from parley_live.base import Delta


def joined(deltas: Iterable[Delta]) -> str:
    """The text of these deltas, each of which has some, and goes on where the one before it ends."""
    text = ""
    for delta in deltas:
        assert delta.text
        assert delta.offset == len(text)
        text += delta.text
    return text

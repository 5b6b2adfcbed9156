"""A page's size in bytes, so that no page outgrows a message between services."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

MOST_BYTES = 2_000_000


def fitting(entries: Sequence[T], text: Callable[[T], str], most: int = MOST_BYTES) -> Sequence[T]:
    """As many of the first entries as have `most` bytes of text together (UTF-8), and always the first one."""
    size = 0
    for number, entry in enumerate(entries):
        size += len(text(entry).encode())
        if number and size > most:
            return entries[:number]
    return entries

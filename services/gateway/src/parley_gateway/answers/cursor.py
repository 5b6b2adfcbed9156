"""Where a reader is in an answer, and what a piece of it means from there."""

from __future__ import annotations

from collections.abc import Iterator

from parley_gateway.answers.events import Restarted, Text
from parley_live.base import Delta


class Gap(Exception):
    """A piece that starts beyond what the reader has: what is between was lost from the stream."""


class Cursor:
    """Turns pieces of the answer, seen from its start, into what one reader has not had yet.

    after: code points that the reader holds. held: the attempt of its last piece, None when it did not say. If the
    text was begun anew since the reader's piece (or ever, for a reader that holds text and did not say), it is told.
    """

    def __init__(self, after: int, held: int | None) -> None:
        self._sent = after
        self._held = held
        self._began: int | None = None

    @property
    def began(self) -> int | None:
        """The attempt that began the text which the reader has been given; None before the first piece."""
        return self._began

    def take(self, delta: Delta) -> Iterator[Text | Restarted]:
        """What `delta` brings: nothing, the part beyond what the reader has, or a restart and all of it. Raises Gap."""
        if self._is_anew(delta.began):
            self._sent = 0
            yield Restarted(delta.attempt)
        self._began = delta.began
        if delta.offset > self._sent:
            raise Gap
        rest = delta.text[self._sent - delta.offset :]
        if rest:
            yield Text(self._sent, rest, delta.attempt)
            self._sent += len(rest)

    def drop(self, attempt: int) -> Iterator[Restarted]:
        """There is no text after all: a reader who holds some is told."""
        if self._sent > 0:
            self._sent = 0
            yield Restarted(attempt)

    def _is_anew(self, began: int) -> bool:
        if self._began is not None:
            return began != self._began
        if self._held is not None:
            return self._held < began
        return self._sent > 0 and began > 1


def joined(deltas: list[Delta]) -> Iterator[Delta]:
    """The same text in as few pieces as attempts allow, so that a late reader gets few frames."""
    parts: list[Delta] = []
    for delta in deltas:
        if parts and not _follows(parts[-1], delta):
            yield _join(parts)
            parts = []
        parts.append(delta)
    if parts:
        yield _join(parts)


def _follows(last: Delta, delta: Delta) -> bool:
    same = (last.attempt, last.began) == (delta.attempt, delta.began)
    return same and delta.offset == last.offset + len(last.text)


def _join(parts: list[Delta]) -> Delta:
    first = parts[0]
    if len(parts) == 1:
        return first
    return Delta(first.attempt, first.began, first.offset, "".join(part.text for part in parts))

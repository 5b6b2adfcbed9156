"""The answer so far, and the part of it that the stream does not hold yet."""

from __future__ import annotations

from collections.abc import Sequence

from parley_live.base import Delta
from parley_worker.core import Prefix


class Transcript:
    """Joins chunks to deltas whose offsets leave no gap.

    A delta always has text. Tokens whose text is still held back go with the next text: readers have no use for a delta
    without text, and a successor that does not know of such tokens makes them again.
    """

    def __init__(self, attempt: int) -> None:
        self._attempt = attempt
        self._parts: list[str] = []
        self._streamed = 0
        self._pending: list[str] = []
        self._pending_ids: list[int] = []
        self.began = attempt
        self.tokens = 0

    @property
    def text(self) -> str:
        return "".join(self._parts)

    @property
    def waits(self) -> bool:
        """Whether `take` would give something."""
        return bool(self._pending)

    def resume(self, streamed: Sequence[Delta]) -> Prefix:
        """Go on after what earlier attempts streamed, if it is whole; else begin again at 0. Before any `add`."""
        if not streamed:
            return Prefix()
        text, token_ids = "", list[int]()
        for delta in streamed:
            if delta.began != streamed[-1].began or delta.offset < len(text):
                continue  # of a text that was begun again, or written twice by a retry
            if delta.offset > len(text):
                return Prefix()
            text += delta.text
            token_ids += delta.token_ids
        self.began = streamed[-1].began
        self._parts, self._streamed, self.tokens = [text], len(text), len(token_ids)
        return Prefix(tuple(token_ids), text)

    def restart(self) -> None:
        """Begin at 0 after all. Before any `add`."""
        self.began = self._attempt
        self._parts, self._streamed, self.tokens = [], 0, 0

    def add(self, text: str, token_ids: Sequence[int]) -> None:
        self.tokens += len(token_ids)
        self._pending_ids += token_ids
        if text:
            self._parts.append(text)
            self._pending.append(text)

    def take(self) -> Delta | None:
        """What is new since the last call, as one delta for the stream; None when no text is."""
        if not self._pending:
            return None
        text = "".join(self._pending)
        delta = Delta(self._attempt, self.began, self._streamed, text, tuple(self._pending_ids))
        self._streamed += len(text)
        self._pending.clear()
        self._pending_ids.clear()
        return delta

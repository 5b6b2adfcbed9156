"""The text of an answer as its tokens arrive."""

from __future__ import annotations

from typing import Protocol

from parley_worker.core import Prefix
from parley_worker.text.stops import StopFinder


class Detokenizer(Protocol):
    """Turns the tokens of one answer into text, one by one. Never emits half a code point."""

    def push(self, token_id: int) -> str: ...

    def flush(self) -> str:
        """The text of what is still held back, once no more tokens come."""
        ...


class AnswerText:
    """Joins a detokenizer and the stop strings: `push` returns the text that readers may see."""

    def __init__(self, detokenizer: Detokenizer, stops: tuple[str, ...] = ()) -> None:
        self._detokenizer = detokenizer
        self._stops = StopFinder(stops)

    @property
    def stopped(self) -> bool:
        """Whether a stop string has appeared: the text is complete, and the last token pushed is the last one."""
        return self._stops.found

    def push(self, token_id: int) -> str:
        return self._stops.push(self._detokenizer.push(token_id))

    def resume(self, prefix: Prefix) -> str:
        """Go through what an earlier attempt streamed. Returns the text of those tokens that readers do not hold yet.

        Raises ValueError if the text that readers hold is not the beginning of what the tokens say.
        """
        text = "".join(map(self.push, prefix.token_ids))
        if not text.startswith(prefix.text):
            raise ValueError("the text to resume is not the text of the tokens to resume")
        return text[len(prefix.text) :]

    def flush(self) -> str:
        """The rest of the text, once no more tokens come. Empty after a stop string."""
        return self._stops.push(self._detokenizer.flush()) + self._stops.flush()

"""How asking the server fails, before it is told as one of Parley's errors."""

from __future__ import annotations

import re

_OVER_WINDOW = re.compile(
    r"context (length|size|window)|context_length|max_model_len|prompt is too long"
    r"|input tokens exceed|max_tokens must be at least 1, got -",
    re.IGNORECASE,
)
_COUNTED = re.compile(r"(\d+) (?:in the messages|input tokens)")
_OVER_WINDOW_KINDS = {"context_length_exceeded", "exceed_context_size_error"}
_REQUEST_AT_FAULT = {400, 413, 422}
_ACCESS = {401, 403}
_AGAIN = {408, 409, 425, 429}


class Failure(Exception):
    """Asking failed. `again`: the same may succeed in a moment; `retry_after`: after so many seconds."""

    again = True
    retry_after: float | None = None


class Lost(Failure):
    """The server cannot be reached, or the connection ended in the middle of an answer."""


class Silent(Failure):
    """The server said nothing for so long that it counts as lost."""

    again = False


class Unreadable(Failure):
    """What it sent is not the protocol."""

    again = False


class Refusal(Failure):
    """The server's own error. `prompt_tokens`: how long it found the prompt, where it says so."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kinds: frozenset[str] = frozenset(),
        retry_after: float | None = None,
        prompt_tokens: int | None = None,
    ) -> None:
        super().__init__(f"{message[:300]} ({status})")
        self.status = status
        self.again = status in _AGAIN or status >= 500
        self.retry_after = retry_after
        said = status in _REQUEST_AT_FAULT and _OVER_WINDOW.search(message)
        self.over_window = bool(said or kinds & _OVER_WINDOW_KINDS)
        counted = _COUNTED.search(message)
        self.prompt_tokens = prompt_tokens or (int(counted[1]) if counted else None)

    @property
    def request_at_fault(self) -> bool:
        return self.status in _REQUEST_AT_FAULT

    @property
    def access(self) -> bool:
        """Whether it is the key that is at fault."""
        return self.status in _ACCESS

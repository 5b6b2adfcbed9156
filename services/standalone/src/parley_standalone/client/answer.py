"""One answer as a reader holds it: its text so far, and what makes a gap impossible to miss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from parley_kit.errors import Internal


@dataclass(frozen=True, slots=True)
class Delta:
    """Text to append. offset: code points before it."""

    offset: int
    text: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Restarted:
    """Forget the text held: it starts again at 0."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The end, the same for every reader. content: what was stored; None when nothing was generated."""

    state: str
    finish_reason: str | None
    message_id: str | None
    content: str | None
    completion_tokens: int | None
    error: str | None


Event = Delta | Restarted | Finished

SUBSCRIPTION = """
subscription Answer($id: ID!, $after: Int!, $attempt: Int) {
  generation(id: $id, after: $after, attempt: $attempt) {
    __typename
    ... on TokenDelta { offset text attempt }
    ... on GenerationRestarted { attempt }
    ... on GenerationFinished {
      state finishReason message { id content } usage { completionTokens } error { code message }
    }
  }
}
"""


def event_from(data: dict[str, Any]) -> Event:
    """The event in the data of one `next`."""
    fields = data["generation"]
    match fields["__typename"]:
        case "TokenDelta":
            return Delta(fields["offset"], fields["text"], fields["attempt"])
        case "GenerationRestarted":
            return Restarted(fields["attempt"])
        case _:
            return _finished(fields)


def _finished(fields: dict[str, Any]) -> Finished:
    message, usage, error = fields["message"] or {}, fields["usage"] or {}, fields["error"] or {}
    return Finished(
        state=fields["state"],
        finish_reason=fields["finishReason"],
        message_id=message.get("id"),
        content=message.get("content"),
        completion_tokens=usage.get("completionTokens"),
        error=error.get("message"),
    )


class Answer:
    """What a reader holds; `after` and `attempt` are where a new connection goes on."""

    def __init__(self, generation_id: str) -> None:
        self.generation_id = generation_id
        self.finished: Finished | None = None
        self._pieces: list[str] = []
        self.after = 0
        self.attempt: int | None = None

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def apply(self, event: Event) -> None:
        """Take the next event. Raises Internal for a gap or an overlap: the server broke its promise."""
        match event:
            case Delta():
                if event.offset != self.after:
                    raise Internal(f"the stream jumped from {self.after} to {event.offset}")
                self._pieces.append(event.text)
                self.after += len(event.text)
                self.attempt = event.attempt
            case Restarted():
                self._pieces.clear()
                self.after = 0
                self.attempt = event.attempt
            case Finished():
                self.finished = event

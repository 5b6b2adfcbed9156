"""How an attempt ends, and the event that says so."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from parley_kit.errors import DeadlineExceeded, ParleyError
from parley_proto.conversation.v1 import types_pb2 as types
from parley_proto.events.v1 import events_pb2 as events
from parley_worker.core import FinishReason, Usage

_REASONS = {
    FinishReason.STOP: types.FINISH_REASON_STOP,
    FinishReason.LENGTH: types.FINISH_REASON_LENGTH,
}


@dataclass(frozen=True, slots=True)
class Completed:
    """The model came to its end."""

    reason: FinishReason


@dataclass(frozen=True, slots=True)
class Failed:
    """There will be no answer. `message` is what a client is told."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A user stopped it."""


@dataclass(frozen=True, slots=True)
class GivenBack:
    """Another worker goes on with it, or this one later."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """It is not ours any more."""


Final = Completed | Failed | Cancelled
Ending = Final | GivenBack | Dropped

EXPIRED = Failed(DeadlineExceeded.code, "the answer took longer than its deadline")
BROKEN = Failed(ParleyError.code, "the model failed on this request")


@dataclass(frozen=True, slots=True)
class Answer:
    """What an attempt made, whichever way it ended. `began`: the attempt that wrote the first code point of `text`.

    usage: None when the model had not begun.
    """

    generation_id: str
    conversation_id: str
    attempt: int
    began: int
    text: str
    usage: Usage | None


Event = events.GenerationCompleted | events.GenerationFailed | events.GenerationCancelled


def to_event(ending: Final, answer: Answer) -> Event:
    """The terminal event, with the whole text, also that of earlier attempts."""
    fields = _fields(answer)
    match ending:
        case Completed(reason):
            return events.GenerationCompleted(finish_reason=_REASONS[reason], **fields)
        case Failed(code, message):
            return events.GenerationFailed(failure=types.Failure(code=code, message=message), **fields)
        case Cancelled():
            return events.GenerationCancelled(**fields)


def _fields(answer: Answer) -> dict[str, Any]:
    return {
        "generation_id": answer.generation_id,
        "conversation_id": answer.conversation_id,
        "attempt": answer.attempt,
        "began_attempt": answer.began,
        "text": answer.text,
        "usage": answer.usage and types.Usage(**asdict(answer.usage)),
    }

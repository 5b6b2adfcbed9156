"""How a generation ends: what is stored of it, and what the end owes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from parley_conversation.domain.conversation import Message, Role
from parley_conversation.domain.generation import (
    AppendMessage,
    Debt,
    EndStream,
    Failure,
    FinishReason,
    Generation,
    Outcome,
    State,
    Usage,
)
from parley_kit.errors import DeadlineExceeded
from parley_kit.ids import new_id


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of an attempt, as its worker or the sweep tells it. `text`: the whole answer, empty if there is none."""

    state: State
    text: str
    began_attempt: int
    finish_reason: FinishReason
    usage: Usage | None = None
    failure: Failure | None = None


EXPIRED = Failure(DeadlineExceeded.code, "the answer took longer than its deadline allows")


def failed(failure: Failure, text: str, began_attempt: int, usage: Usage | None = None) -> Ending:
    """FAILED, or EXPIRED when it is the deadline that was missed."""
    expired = failure.code == DeadlineExceeded.code
    state = State.EXPIRED if expired else State.FAILED
    return Ending(state, text, began_attempt, FinishReason.ERROR, usage, EXPIRED if expired else failure)


def settle(generation: Generation, ending: Ending, now: datetime) -> Outcome:
    """The ending as the document takes it: an answer that has text is owed to the chat log before the stream ends."""
    owed: list[Debt] = [EndStream(new_id())]
    if ending.text:
        owed.insert(0, AppendMessage(new_id(), _answer(generation, ending, now)))
    return Outcome(
        state=ending.state,
        finish_reason=ending.finish_reason,
        finished_at=now,
        began_attempt=ending.began_attempt,
        usage=ending.usage,
        failure=ending.failure,
        outbox=tuple(owed),
    )


def _answer(generation: Generation, ending: Ending, now: datetime) -> Message:
    return Message(
        conversation_id=generation.conversation_id,
        seq=generation.answer_seq,
        id=generation.answer_id,
        role=Role.ASSISTANT,
        content=ending.text,
        parent_seq=generation.user_seq,
        parent_id=generation.user_message_id,
        created_at=now,
        generation_id=generation.id,
        model=generation.model,
        finish_reason=ending.finish_reason,
        prompt_tokens=ending.usage.prompt_tokens if ending.usage else None,
        completion_tokens=ending.usage.completion_tokens if ending.usage else None,
    )

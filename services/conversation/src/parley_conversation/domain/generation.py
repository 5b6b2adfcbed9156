"""A generation: one answer in the making, from the commit of the user's message to its one terminal state.

QUEUED --claim--> RUNNING --finish--> COMPLETED | FAILED | CANCELLED
   ^                |  \\--deadline--> EXPIRED
   \\--lease out-----/
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from parley_conversation.domain.conversation import Message

MAX_ATTEMPTS = 3


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def terminal(self) -> bool:
        return self not in (State.QUEUED, State.RUNNING)


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the client asked of the sampler; None is the model's default. Ranges are checked where it is made."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """What a client is told: a code of the error tree and a message without internals."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class AppendMessage:
    """Owed: the message in the chat log, and MessageAppended on the bus."""

    id: str
    message: Message


@dataclass(frozen=True, slots=True)
class RequestInference:
    """Owed: InferenceRequested on the bus. The prompt is read from the chat log when it is published."""

    id: str


@dataclass(frozen=True, slots=True)
class EndStream:
    """Owed: the terminal entry of the live stream."""

    id: str


Debt = AppendMessage | RequestInference | EndStream


@dataclass(frozen=True, slots=True)
class Generation:
    """The document of a generation. What it still owes the other stores is in `outbox`, messages in their order.

    attempt: claims and fences so far, the fencing token. handed_back: those of them that a worker gave back as it
    shut down; they do not count toward MAX_ATTEMPTS. began_attempt: the attempt that wrote the first code point of it.
    answer_seq, answer_id: reserved for the assistant's message; it is stored iff `answer_stored`.
    """

    id: str
    conversation_id: str
    owner_id: str
    request_id: str | None
    model: str
    parameters: Parameters
    user_seq: int
    user_message_id: str
    answer_seq: int
    answer_id: str
    created_at: datetime
    deadline: datetime
    state: State = State.QUEUED
    attempt: int = 0
    handed_back: int = 0
    began_attempt: int = 0
    worker_id: str | None = None
    lease_until: datetime | None = None
    queued_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    finished_at: datetime | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    failure: Failure | None = None
    answer_stored: bool = False
    outbox: tuple[Debt, ...] = ()

    @property
    def used_up(self) -> bool:
        """Whether it has had all the attempts that it gets."""
        return self.attempt - self.handed_back >= MAX_ATTEMPTS


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a generation ends. `outbox` is what the end owes; its AppendMessage, if any, is the answer."""

    state: State
    finish_reason: FinishReason | None
    finished_at: datetime
    began_attempt: int
    usage: Usage | None = None
    failure: Failure | None = None
    outbox: tuple[Debt, ...] = field(default=())

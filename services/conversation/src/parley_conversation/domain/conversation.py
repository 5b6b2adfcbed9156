"""A conversation and its messages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is known of a conversation, its messages apart. updated_at moves with every message and change."""

    id: str
    owner_id: str
    title: str
    model: str
    system_prompt: str | None
    archived: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Message:
    """A row of the chat log, never changed once it is written.

    seq: its place in the conversation, unique, rising, with gaps. parent_seq: the message that it follows; None for a
    first one. Messages with one parent are siblings: the branches of the conversation.
    """

    conversation_id: str
    seq: int
    id: str
    role: Role
    content: str
    parent_seq: int | None
    parent_id: str | None
    created_at: datetime
    generation_id: str | None = None
    model: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

"""What the contract tests share: the fixture that an adapter gives, and documents to store."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from parley_conversation.domain.conversation import Conversation, Message, Role
from parley_conversation.domain.generation import Debt, FinishReason, Generation, Outcome, Parameters, State
from parley_conversation.ports import ChatLog, Conversations, Generations, Models, Stores
from parley_kit.ids import new_id

START = datetime(2026, 1, 1, 12, 0, 0, 123457, tzinfo=UTC)


class StoresHarness:
    """A subclass gives the fixture `stores`: the open stores, empty for each test."""

    @pytest.fixture
    def conversations(self, stores: Stores) -> Conversations:
        return stores.conversations

    @pytest.fixture
    def generations(self, stores: Stores) -> Generations:
        return stores.generations

    @pytest.fixture
    def chat_log(self, stores: Stores) -> ChatLog:
        return stores.chat_log

    @pytest.fixture
    def models(self, stores: Stores) -> Models:
        return stores.models


def after(seconds: float) -> datetime:
    """That many seconds into the test."""
    return START + timedelta(seconds=seconds)


def conversation(owner_id: str | None = None, title: str = "", at: float = 0, archived: bool = False) -> Conversation:
    return Conversation(
        id=new_id(),
        owner_id=owner_id or new_id(),
        title=title,
        model="scripted",
        system_prompt=None,
        archived=archived,
        created_at=after(at),
        updated_at=after(at),
    )


def message(
    conversation_id: str, seq: int, content: str = "Hello", parent_seq: int | None = None, **others: Any
) -> Message:
    """A message at `seq`, sent that many seconds into the test."""
    return Message(
        conversation_id=conversation_id,
        seq=seq,
        id=new_id(),
        role=Role.USER,
        content=content,
        parent_seq=parent_seq,
        parent_id=None if parent_seq is None else new_id(),
        created_at=after(seq),
        **others,
    )


def generation(conversation_id: str | None = None, *debts: Debt, **others: Any) -> Generation:
    """A queued generation made at the start of the test, due ten minutes later."""
    values: dict[str, Any] = {
        "id": new_id(),
        "conversation_id": conversation_id or new_id(),
        "owner_id": new_id(),
        "request_id": new_id(),
        "model": "scripted",
        "parameters": Parameters(),
        "user_seq": 1,
        "user_message_id": new_id(),
        "answer_seq": 2,
        "answer_id": new_id(),
        "created_at": START,
        "queued_at": START,
        "deadline": after(600),
        "outbox": debts,
    }
    return Generation(**{**values, **others})


def outcome(state: State = State.COMPLETED, *debts: Debt, at: float = 30) -> Outcome:
    return Outcome(state, FinishReason.STOP, after(at), began_attempt=1, outbox=debts)


def ids(found: Iterable[Conversation | Message | Generation]) -> list[str]:
    return [each.id for each in found]

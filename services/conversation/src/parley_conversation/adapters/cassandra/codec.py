"""Messages to and from rows, and the time that a row is written with."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from parley_conversation.domain.conversation import Message, Role

BUCKET = 5000
MIRROR_US = 1_500_000_000_000_000
"""14 July 2017, in microseconds since 1970."""

MESSAGE_COLUMNS = (
    "seq",
    "id",
    "role",
    "content",
    "parent_seq",
    "parent_id",
    "created_us",
    "generation_id",
    "model",
    "finish_reason",
    "prompt_tokens",
    "completion_tokens",
)

_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)
_NO_SEQ, _NO_TEXT, _NO_COUNT = 0, "", -1


class MirroredClock:
    """Write times that fall while the clock rises, so that of two writes to one cell the first stays.

    Cassandra keeps, of each cell, what was written with the highest time. The clock's microseconds are mirrored in July
    2017: what is written now carries a time before it, and what is written later one further back. No Paxos round, no
    read before the write. Three things follow, and the callers build on them:

    - A write that is repeated changes nothing. Every column is written each time, an absent value as the mark for it,
      so that a row is never put together from two writes.
    - A deletion carries the plain clock, which lies beyond the mirror: it outweighs every write to that partition, also
      those that arrive after it. What is deleted cannot come back, and the tombstone ages like any other.
    - Between two processes "first" means first by their clocks. That decides nothing in practice: what is appended at
      a seq comes from one generation's document, whoever appends it.
    """

    def __init__(self, microseconds: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._microseconds = microseconds
        self._last = 0

    def next(self) -> int:
        """Lower than every one before."""
        self._last = max(self._microseconds(), self._last + 1)
        return 2 * MIRROR_US - self._last


def bucket_of(seq: int | None) -> int:
    """The bucket of a message; the parent of first messages counts to the first one."""
    return 0 if seq is None else seq // BUCKET


def from_parent(seq: int | None) -> int:
    return _NO_SEQ if seq is None else seq


def to_parent(value: int) -> int | None:
    return None if value == _NO_SEQ else value


def from_message(message: Message) -> tuple[Any, ...]:
    """The values of MESSAGE_COLUMNS. Times in whole microseconds: CQL's own timestamp has milliseconds."""
    return (
        message.seq,
        message.id,
        message.role.value,
        message.content,
        from_parent(message.parent_seq),
        message.parent_id or _NO_TEXT,
        (message.created_at - _EPOCH) // _MICROSECOND,
        message.generation_id or _NO_TEXT,
        message.model or _NO_TEXT,
        message.finish_reason or _NO_TEXT,
        _from_count(message.prompt_tokens),
        _from_count(message.completion_tokens),
    )


def to_message(conversation_id: str, row: tuple[Any, ...]) -> Message:
    seq, id_, role, content, parent_seq, parent_id, created_us, generation_id, model, reason, prompt, completion = row
    return Message(
        conversation_id=conversation_id,
        seq=seq,
        id=id_,
        role=Role(role),
        content=content,
        parent_seq=to_parent(parent_seq),
        parent_id=parent_id or None,
        created_at=_EPOCH + timedelta(microseconds=created_us),
        generation_id=generation_id or None,
        model=model or None,
        finish_reason=reason or None,
        prompt_tokens=_to_count(prompt),
        completion_tokens=_to_count(completion),
    )


def _from_count(count: int | None) -> int:
    return _NO_COUNT if count is None else count


def _to_count(value: int) -> int | None:
    return None if value == _NO_COUNT else value

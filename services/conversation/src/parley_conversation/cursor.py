"""Cursors of pages: opaque to clients, checked when they come back."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import Any

from parley_conversation.domain.conversation import Conversation, Message
from parley_kit.errors import BadInput
from parley_kit.ids import parse_id

_CONVERSATION = "c"
_MESSAGE = "m"
_MAX_SEQ = 2**63 - 1


def conversation_cursor(conversation: Conversation) -> str:
    return _pack([_CONVERSATION, conversation.updated_at.isoformat(), conversation.id])


def parse_conversation_cursor(cursor: str) -> tuple[datetime, str]:
    """(updated_at, id) of the conversation that the page follows. Raises BadInput."""
    match _unpack(cursor, "after"):
        case ["c", str(updated_at), str(conversation_id)]:
            return _instant(updated_at), parse_id(conversation_id, "after")
    raise _malformed("after")


def message_cursor(message: Message) -> str:
    return _pack([_MESSAGE, message.conversation_id, message.parent_seq])


def parse_message_cursor(cursor: str, conversation_id: str) -> int | None:
    """The seq of the parent of the message that the cursor stands for; None: it is a first one. Raises BadInput."""
    match _unpack(cursor, "before"):
        case ["m", str(owner), None] if owner == conversation_id:
            return None
        case ["m", str(owner), int(seq)] if owner == conversation_id and 0 < seq < _MAX_SEQ:
            return seq
    raise _malformed("before")


def _pack(parts: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")


def _unpack(cursor: str, field: str) -> Any:
    try:
        return json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise _malformed(field) from None


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise _malformed("after") from None
    if instant.tzinfo is None:
        raise _malformed("after")
    return instant


def _malformed(field: str) -> BadInput:
    return BadInput(f"{field} is not a cursor of this list", field)

"""Branches: from a message up its parents to the first one, read in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator

from parley_conversation.domain.conversation import Message
from parley_conversation.ports import ChatLog


async def ancestry(chat_log: ChatLog, conversation_id: str, seq: int | None, page: int) -> AsyncIterator[Message]:
    """The message at `seq`, its parent, and so on. Nothing when `seq` is None or is no message.

    A window of `page` messages is read at a time and only where a parent lies below the last one, so a chat without
    branches costs one read a page.
    """
    window: dict[int, Message] = {}
    while seq is not None:
        if seq not in window:
            window = {message.seq: message for message in await chat_log.before(conversation_id, seq + 1, page)}
        message = window.get(seq)
        if message is None:
            return
        yield message
        seq = message.parent_seq


async def newest_leaf(chat_log: ChatLog, conversation_id: str) -> Message | None:
    """The message that was stored at the highest place: what a new message follows when it names no parent."""
    return next(iter(await chat_log.before(conversation_id, None, 1)), None)

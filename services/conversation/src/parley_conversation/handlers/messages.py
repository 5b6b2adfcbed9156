"""Messages: one branch of a conversation, page by page, and single messages by id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parley_conversation.branch import ancestry, newest_leaf
from parley_conversation.cursor import parse_message_cursor
from parley_conversation.domain.conversation import Message
from parley_conversation.domain.pages import fitting
from parley_conversation.domain.rules import check_page
from parley_conversation.handlers.access import Access
from parley_conversation.ports import ChatLog
from parley_conversation.relay import Relay
from parley_kit.errors import BadInput, NotFound
from parley_kit.tasks import both


@dataclass(frozen=True, slots=True)
class BranchedMessage:
    """A message and the ids of all that share its parent, oldest first, itself included."""

    message: Message
    sibling_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Oldest first."""

    messages: Sequence[BranchedMessage]
    has_previous: bool
    has_next: bool


class MessageHandlers:
    def __init__(self, chat_log: ChatLog, access: Access, relay: Relay) -> None:
        self._chat_log = chat_log
        self._access = access
        self._relay = relay

    async def page(
        self, owner_id: str, conversation_id: str, last: int, before: str | None, leaf_id: str | None
    ) -> MessagePage:
        """Up to `last` messages that end at the leaf (None: the newest), or right before the cursor; fewer when long.

        Raises BadInput for a malformed cursor, NotFound for a leaf that is not in this conversation.
        """
        check_page(last, "last")
        await both(self._access.conversation(owner_id, conversation_id), self._relay.store_all(conversation_id))
        end = await self._end(owner_id, conversation_id, before, leaf_id)
        newest_first = await self._read(conversation_id, end, last)
        if end is not None and not newest_first:
            raise BadInput("before is not a cursor of this list", "before")
        found = fitting(newest_first, lambda message: message.content)[::-1]
        return MessagePage(
            messages=await self.branched(conversation_id, found),
            has_previous=bool(found) and found[0].parent_seq is not None,
            has_next=before is not None,
        )

    async def get_many(self, owner_id: str, message_ids: Sequence[str]) -> Sequence[BranchedMessage]:
        """Those of the ids that exist and are the owner's, in any order."""
        by_conversation: dict[str, list[Message]] = {}
        for message in await self._access.messages(owner_id, message_ids):
            by_conversation.setdefault(message.conversation_id, []).append(message)
        return [
            branched
            for conversation_id, messages in by_conversation.items()
            for branched in await self.branched(conversation_id, messages)
        ]

    async def branched(self, conversation_id: str, messages: Sequence[Message]) -> Sequence[BranchedMessage]:
        """The messages of one conversation, each with its siblings."""
        if not messages:
            return []
        parents = list({message.parent_seq for message in messages})
        siblings: Mapping[int | None, Sequence[str]] = await self._chat_log.siblings(conversation_id, parents)
        return [BranchedMessage(message, siblings[message.parent_seq]) for message in messages]

    async def _read(self, conversation_id: str, end: int | None, most: int) -> list[Message]:
        newest_first: list[Message] = []
        async for message in ancestry(self._chat_log, conversation_id, end, most):
            newest_first.append(message)
            if len(newest_first) == most:
                break
        return newest_first

    async def _end(self, owner_id: str, conversation_id: str, before: str | None, leaf_id: str | None) -> int | None:
        """The seq where the page ends; None: there is nothing before it."""
        if before is not None:
            return parse_message_cursor(before, conversation_id)
        if leaf_id is None:
            leaf = await newest_leaf(self._chat_log, conversation_id)
            return None if leaf is None else leaf.seq
        message = await self._access.message(owner_id, leaf_id)
        if message.conversation_id != conversation_id:
            raise NotFound("there is no such message in this conversation")
        return message.seq

"""What a user may touch: only what lies in a conversation of theirs that exists."""

from __future__ import annotations

from collections.abc import Sequence

from parley_conversation.domain.conversation import Conversation, Message
from parley_conversation.domain.generation import Generation
from parley_conversation.ports import Stores
from parley_kit.errors import NotFound


class Access:
    """Absent and somebody else's look the same. Every method raises Unavailable while a store is away."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def conversation(self, owner_id: str, conversation_id: str) -> Conversation:
        conversation = await self._stores.conversations.get(conversation_id)
        if conversation is None or conversation.owner_id != owner_id:
            raise NotFound("there is no such conversation")
        return conversation

    async def messages(self, owner_id: str, message_ids: Sequence[str]) -> Sequence[Message]:
        """Those that exist and are the owner's."""
        found = await self._stores.chat_log.locate(message_ids)
        mine = await self._owned(owner_id, {message.conversation_id for message in found})
        return [message for message in found if message.conversation_id in mine]

    async def message(self, owner_id: str, message_id: str) -> Message:
        for message in await self.messages(owner_id, [message_id]):
            return message
        raise NotFound("there is no such message")

    async def generations(self, owner_id: str, generation_ids: Sequence[str]) -> Sequence[Generation]:
        """Those that exist and are the owner's."""
        found = await self._stores.generations.get_many(generation_ids)
        mine = await self._owned(owner_id, {generation.conversation_id for generation in found})
        return [generation for generation in found if generation.conversation_id in mine]

    async def generation(self, owner_id: str, generation_id: str) -> Generation:
        for generation in await self.generations(owner_id, [generation_id]):
            return generation
        raise NotFound("there is no such generation")

    async def _owned(self, owner_id: str, conversation_ids: set[str]) -> set[str]:
        if not conversation_ids:
            return set()
        conversations = await self._stores.conversations.get_many(sorted(conversation_ids))
        return {conversation.id for conversation in conversations if conversation.owner_id == owner_id}

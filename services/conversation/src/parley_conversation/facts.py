"""What other parts are told, on the bus: facts about conversations, and requests for answers."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message as Event

from parley_bus import Bus
from parley_bus.events import CONVERSATION_EVENTS, inference_topic, to_record
from parley_conversation import convert
from parley_conversation.domain.context import Prompt
from parley_conversation.domain.conversation import Conversation, Message
from parley_conversation.domain.generation import Generation
from parley_kit.clock import Clock
from parley_proto.events.v1 import events_pb2 as events

SOURCE = "parley-conversation"


class Facts:
    """Publishes; every method raises Unavailable while the bus is away."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock

    async def message_appended(self, message: Message, owner_id: str) -> None:
        event = events.MessageAppended(
            conversation_id=message.conversation_id, user_id=owner_id, message=convert.message(message)
        )
        await self._tell(message.conversation_id, event)

    async def conversation_updated(self, conversation: Conversation) -> None:
        event = events.ConversationUpdated(
            user_id=conversation.owner_id, conversation=convert.conversation(conversation)
        )
        await self._tell(conversation.id, event)

    async def conversation_deleted(self, conversation_id: str, owner_id: str) -> None:
        await self._tell(conversation_id, events.ConversationDeleted(user_id=owner_id, conversation_id=conversation_id))

    async def inference_requested(self, generation: Generation, prompts: Sequence[Prompt], key: str) -> None:
        event = convert.inference_requested(generation, prompts)
        await self._bus.publish(to_record(inference_topic(generation.model), key, event, SOURCE, self._clock))

    async def _tell(self, conversation_id: str, event: Event) -> None:
        await self._bus.publish(to_record(CONVERSATION_EVENTS, conversation_id, event, SOURCE, self._clock))

"""What is stored of an answer, asked of the conversation service in the name of one caller."""

from __future__ import annotations

from dataclasses import dataclass

from parley_gateway.backends import Backends
from parley_gateway.caller import Caller
from parley_kit.context import budget, enter
from parley_kit.errors import NotFound
from parley_proto.conversation.v1 import conversation_pb2, types_pb2

CALL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class AnswerSource:
    """Every call has its own budget and carries the caller's token, for it comes long after the request itself."""

    backends: Backends
    caller: Caller

    async def generation(self, generation_id: str) -> types_pb2.Generation:
        """Raises NotFound when it does not exist, is somebody else's or has been deleted."""
        with enter(self.caller.request_context()), budget(CALL_SECONDS):
            request = conversation_pb2.GetGenerationRequest(id=generation_id)
            return (await self.backends.conversation.GetGeneration(request)).generation

    async def message(self, message_id: str) -> types_pb2.Message:
        """Raises NotFound like `generation`."""
        with enter(self.caller.request_context()), budget(CALL_SECONDS):
            request = conversation_pb2.GetMessagesRequest(ids=[message_id])
            reply = await self.backends.conversation.GetMessages(request)
        if not reply.messages:
            raise NotFound("no such generation")
        return reply.messages[0]

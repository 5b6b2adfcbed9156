"""Loads by id in batches, one set of loaders for each operation: a list that fans out costs one call, not one each."""

from __future__ import annotations

from collections.abc import Sequence

from strawberry.dataloader import DataLoader

from parley_gateway.backends import Backends
from parley_gateway.entrypoints.graphql.arguments import MAX_PAGE
from parley_proto.conversation.v1 import conversation_pb2, types_pb2


class Loaders:
    """What does not exist, or is somebody else's, loads as None."""

    def __init__(self, backends: Backends) -> None:
        self._conversation = backends.conversation
        self.messages: DataLoader[str, types_pb2.Message | None] = DataLoader(
            self._load_messages, max_batch_size=MAX_PAGE
        )
        self.generations: DataLoader[str, types_pb2.Generation | None] = DataLoader(
            self._load_generations, max_batch_size=MAX_PAGE
        )

    async def _load_messages(self, ids: list[str]) -> Sequence[types_pb2.Message | None]:
        reply = await self._conversation.GetMessages(conversation_pb2.GetMessagesRequest(ids=ids))
        found = {message.id: message for message in reply.messages}
        return [found.get(key) for key in ids]

    async def _load_generations(self, ids: list[str]) -> Sequence[types_pb2.Generation | None]:
        reply = await self._conversation.GetGenerations(conversation_pb2.GetGenerationsRequest(ids=ids))
        found = {generation.id: generation for generation in reply.generations}
        return [found.get(key) for key in ids]

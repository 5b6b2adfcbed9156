"""ConversationService: for the users, each by the access token that the interceptor has verified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from parley_conversation import convert
from parley_conversation.catalogue import Catalogue
from parley_conversation.cursor import conversation_cursor, message_cursor
from parley_conversation.domain.rules import check_id_count
from parley_conversation.handlers.conversations import ConversationHandlers
from parley_conversation.handlers.generations import GenerationHandlers
from parley_conversation.handlers.messages import BranchedMessage, MessageHandlers
from parley_conversation.handlers.sends import Regenerate, SendHandlers, SendMessage, Sent
from parley_conversation.ports import ConversationChanges
from parley_kit.context import current_principal
from parley_kit.ids import parse_id
from parley_proto.conversation.v1 import conversation_pb2 as wire
from parley_proto.conversation.v1 import conversation_pb2_grpc
from parley_proto.conversation.v1 import types_pb2 as types


@dataclass(frozen=True, slots=True)
class Handlers:
    """All that the service can be asked by a user."""

    conversations: ConversationHandlers
    messages: MessageHandlers
    sends: SendHandlers
    generations: GenerationHandlers
    catalogue: Catalogue


class ConversationServicer(conversation_pb2_grpc.ConversationServiceServicer):
    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    async def Create(self, request: wire.CreateRequest, context: Any) -> wire.CreateResponse:  # noqa: N802
        created = await self._handlers.conversations.create(
            _caller(), _given(request, "title"), _given(request, "model"), _given(request, "system_prompt")
        )
        return wire.CreateResponse(conversation=convert.conversation(created))

    async def Get(self, request: wire.GetRequest, context: Any) -> wire.GetResponse:  # noqa: N802
        found = await self._handlers.conversations.get(_caller(), parse_id(request.id))
        return wire.GetResponse(conversation=convert.conversation(found))

    async def List(self, request: wire.ListRequest, context: Any) -> wire.ListResponse:  # noqa: N802
        page = await self._handlers.conversations.list(
            _caller(), request.first, _given(request, "after"), request.archived, _given(request, "search")
        )
        edges = [
            wire.ListResponse.Edge(conversation=convert.conversation(found), cursor=conversation_cursor(found))
            for found in page.conversations
        ]
        return wire.ListResponse(edges=edges, has_next_page=page.has_next)

    async def Update(self, request: wire.UpdateRequest, context: Any) -> wire.UpdateResponse:  # noqa: N802
        changes = ConversationChanges(
            title=_given(request, "title"),
            archived=request.archived if request.HasField("archived") else None,
            model=_given(request, "model"),
            system_prompt=_given(request, "system_prompt"),
        )
        updated = await self._handlers.conversations.update(_caller(), parse_id(request.id), changes)
        return wire.UpdateResponse(conversation=convert.conversation(updated))

    async def Delete(self, request: wire.DeleteRequest, context: Any) -> wire.DeleteResponse:  # noqa: N802
        await self._handlers.conversations.delete(_caller(), parse_id(request.id))
        return wire.DeleteResponse()

    async def ListMessages(  # noqa: N802
        self, request: wire.ListMessagesRequest, context: Any
    ) -> wire.ListMessagesResponse:
        leaf = _given(request, "leaf")
        page = await self._handlers.messages.page(
            _caller(),
            parse_id(request.conversation_id, "conversationId"),
            request.last,
            _given(request, "before"),
            parse_id(leaf, "leaf") if leaf is not None else None,
        )
        edges = [
            wire.ListMessagesResponse.Edge(message=_message(found), cursor=message_cursor(found.message))
            for found in page.messages
        ]
        return wire.ListMessagesResponse(edges=edges, has_previous_page=page.has_previous, has_next_page=page.has_next)

    async def GetMessages(self, request: wire.GetMessagesRequest, context: Any) -> wire.GetMessagesResponse:  # noqa: N802
        found = await self._handlers.messages.get_many(_caller(), _ids(request.ids))
        return wire.GetMessagesResponse(messages=map(_message, found))

    async def SendMessage(self, request: wire.SendMessageRequest, context: Any) -> wire.SendMessageResponse:  # noqa: N802
        parent_id = _given(request, "parent_id")
        command = SendMessage(
            conversation_id=parse_id(request.conversation_id, "conversationId"),
            content=request.content,
            parent_id=parse_id(parent_id, "parentId") if parent_id is not None else None,
            request_id=_given(request, "request_id"),
            parameters=convert.parameters_from(request.parameters),
        )
        return wire.SendMessageResponse(**_sent(await self._handlers.sends.send(_caller(), command)))

    async def Regenerate(self, request: wire.RegenerateRequest, context: Any) -> wire.RegenerateResponse:  # noqa: N802
        command = Regenerate(
            message_id=parse_id(request.message_id, "messageId"),
            request_id=_given(request, "request_id"),
            parameters=convert.parameters_from(request.parameters),
        )
        return wire.RegenerateResponse(**_sent(await self._handlers.sends.regenerate(_caller(), command)))

    async def StopGeneration(  # noqa: N802
        self, request: wire.StopGenerationRequest, context: Any
    ) -> wire.StopGenerationResponse:
        stopped = await self._handlers.generations.stop(_caller(), parse_id(request.id))
        return wire.StopGenerationResponse(generation=convert.generation(stopped))

    async def GetGeneration(  # noqa: N802
        self, request: wire.GetGenerationRequest, context: Any
    ) -> wire.GetGenerationResponse:
        found = await self._handlers.generations.get(_caller(), parse_id(request.id))
        return wire.GetGenerationResponse(generation=convert.generation(found))

    async def GetGenerations(  # noqa: N802
        self, request: wire.GetGenerationsRequest, context: Any
    ) -> wire.GetGenerationsResponse:
        found = await self._handlers.generations.get_many(_caller(), _ids(request.ids))
        return wire.GetGenerationsResponse(generations=map(convert.generation, found))

    async def ListModels(self, request: wire.ListModelsRequest, context: Any) -> wire.ListModelsResponse:  # noqa: N802
        listed = await self._handlers.catalogue.listed()
        return wire.ListModelsResponse(
            models=[
                types.Model(name=model.name, context_length=model.context_length, available=model.available)
                for model in listed
            ]
        )


def _caller() -> str:
    return current_principal().user_id


def _given(request: Any, field: str) -> str | None:
    """An optional text field: None when the client left it out."""
    value: str = getattr(request, field)
    return value if request.HasField(field) else None


def _ids(ids: Sequence[str]) -> list[str]:
    check_id_count(len(ids))
    return [parse_id(text, "ids") for text in ids]


def _message(found: BranchedMessage) -> types.Message:
    return convert.message(found.message, found.sibling_ids)


def _sent(sent: Sent) -> dict[str, Any]:
    return {"user_message": _message(sent.user_message), "generation": convert.generation(sent.generation)}

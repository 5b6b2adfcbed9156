"""Conversations and models in the schema."""

from __future__ import annotations

from datetime import datetime
from typing import Self

import strawberry

from parley_gateway.entrypoints.graphql.arguments import given, optional_id, page_size
from parley_gateway.entrypoints.graphql.context import Info
from parley_gateway.entrypoints.graphql.described import described
from parley_gateway.entrypoints.graphql.instants import to_datetime
from parley_gateway.entrypoints.graphql.messages import MessageConnection
from parley_gateway.entrypoints.graphql.pages import PageInfo
from parley_gateway.entrypoints.graphql.users import Node
from parley_proto.conversation.v1 import conversation_pb2, types_pb2


@strawberry.type
class Model:
    name: str
    context_length: int
    available: bool

    @classmethod
    def of(cls, model: types_pb2.Model) -> Self:
        return cls(name=model.name, context_length=model.context_length, available=model.available)


@strawberry.type
class Conversation(Node):
    title: str
    model: str
    system_prompt: str | None
    archived: bool
    created_at: datetime
    updated_at: datetime

    @described(
        strawberry.field,
        (
            "One branch, oldest first: the one that ends at leaf (default: the newest leaf), "
            "or paging backwards from a cursor."
        ),
    )
    async def messages(
        self,
        info: Info,
        last: int | None = 50,
        before: str | None = strawberry.UNSET,
        leaf: strawberry.ID | None = strawberry.UNSET,
    ) -> MessageConnection:
        request = conversation_pb2.ListMessagesRequest(
            conversation_id=self.id,
            last=page_size(last, 50, "last"),
            before=given(before),
            leaf=optional_id(leaf, "leaf"),
        )
        return MessageConnection.of(await info.context.backends.conversation.ListMessages(request))

    @classmethod
    def of(cls, conversation: types_pb2.Conversation) -> Self:
        return cls(
            id=strawberry.ID(conversation.id),
            title=conversation.title,
            model=conversation.model,
            system_prompt=conversation.system_prompt if conversation.HasField("system_prompt") else None,
            archived=conversation.archived,
            created_at=to_datetime(conversation.created_at),
            updated_at=to_datetime(conversation.updated_at),
        )


@strawberry.type
class ConversationEdge:
    node: Conversation
    cursor: str


@strawberry.type
class ConversationConnection:
    edges: list[ConversationEdge]
    page_info: PageInfo

    @classmethod
    def of(cls, reply: conversation_pb2.ListResponse, has_previous: bool) -> Self:
        edges = [ConversationEdge(node=Conversation.of(edge.conversation), cursor=edge.cursor) for edge in reply.edges]
        cursors = [edge.cursor for edge in edges]
        return cls(edges=edges, page_info=PageInfo.of(cursors, reply.has_next_page, has_previous))


@strawberry.input
class CreateConversationInput:
    title: str | None = strawberry.UNSET
    model: str | None = strawberry.UNSET
    system_prompt: str | None = strawberry.UNSET


@strawberry.input
class UpdateConversationInput:
    id: strawberry.ID
    title: str | None = strawberry.UNSET
    archived: bool | None = strawberry.UNSET
    model: str | None = strawberry.UNSET
    system_prompt: str | None = strawberry.UNSET

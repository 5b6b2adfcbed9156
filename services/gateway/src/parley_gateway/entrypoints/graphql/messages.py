"""Messages in the schema."""

from __future__ import annotations

from datetime import datetime
from typing import Self

import strawberry

from parley_gateway.entrypoints.graphql.context import Info
from parley_gateway.entrypoints.graphql.described import described
from parley_gateway.entrypoints.graphql.enums import Role, role_of
from parley_gateway.entrypoints.graphql.generations import Generation, GenerationParameters
from parley_gateway.entrypoints.graphql.instants import to_datetime
from parley_gateway.entrypoints.graphql.pages import PageInfo
from parley_gateway.entrypoints.graphql.users import Node
from parley_proto.conversation.v1 import conversation_pb2, types_pb2


@strawberry.type
class Message(Node):
    role: Role
    content: str = strawberry.field(description="Exactly what was sent or generated, never trimmed.")
    parent_id: strawberry.ID | None
    sibling_ids: list[strawberry.ID] = strawberry.field(
        description="Every message with the same parent, oldest first, this one included."
    )
    created_at: datetime
    generation_id: strawberry.Private[str | None]

    @described(strawberry.field, "The generation that wrote an assistant's message.")
    async def generation(self, info: Info) -> Generation | None:
        if self.generation_id is None:
            return None
        found = await info.context.loaders.generations.load(self.generation_id)
        return None if found is None else Generation.of(found)

    @classmethod
    def of(cls, message: types_pb2.Message) -> Self:
        return cls(
            id=strawberry.ID(message.id),
            role=role_of(message.role),
            content=message.content,
            parent_id=strawberry.ID(message.parent_id) if message.HasField("parent_id") else None,
            sibling_ids=[strawberry.ID(sibling) for sibling in message.sibling_ids],
            created_at=to_datetime(message.created_at),
            generation_id=message.generation_id if message.HasField("generation_id") else None,
        )


@strawberry.type
class MessageEdge:
    node: Message
    cursor: str


@strawberry.type
class MessageConnection:
    edges: list[MessageEdge]
    page_info: PageInfo

    @classmethod
    def of(cls, reply: conversation_pb2.ListMessagesResponse) -> Self:
        edges = [MessageEdge(node=Message.of(edge.message), cursor=edge.cursor) for edge in reply.edges]
        cursors = [edge.cursor for edge in edges]
        return cls(edges=edges, page_info=PageInfo.of(cursors, reply.has_next_page, reply.has_previous_page))


@strawberry.type
class SendMessagePayload:
    user_message: Message
    generation: Generation

    @classmethod
    def of(cls, reply: conversation_pb2.SendMessageResponse | conversation_pb2.RegenerateResponse) -> Self:
        return cls(user_message=Message.of(reply.user_message), generation=Generation.of(reply.generation))


@strawberry.input(
    description=(
        "parentId: the message that this one follows (an edit names the parent of the edited one); left out: the "
        "newest leaf. requestId: the client's own key, up to 64 characters; repeating it returns the first result."
    )
)
class SendMessageInput:
    conversation_id: strawberry.ID
    content: str
    parent_id: strawberry.ID | None = strawberry.UNSET
    request_id: str | None = strawberry.UNSET
    parameters: GenerationParameters | None = strawberry.UNSET


@strawberry.input
class RegenerateInput:
    message_id: strawberry.ID
    request_id: str | None = strawberry.UNSET
    parameters: GenerationParameters | None = strawberry.UNSET

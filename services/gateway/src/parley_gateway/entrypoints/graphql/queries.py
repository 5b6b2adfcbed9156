"""The queries."""

from __future__ import annotations

import asyncio

import strawberry

from parley_gateway.entrypoints.graphql.arguments import given, page_size
from parley_gateway.entrypoints.graphql.context import Info
from parley_gateway.entrypoints.graphql.conversations import Conversation, ConversationConnection, Model
from parley_gateway.entrypoints.graphql.described import described
from parley_gateway.entrypoints.graphql.generations import Generation
from parley_gateway.entrypoints.graphql.messages import Message
from parley_gateway.entrypoints.graphql.users import Node, User
from parley_kit.errors import NotFound
from parley_kit.ids import parse_id
from parley_proto.auth.v1 import auth_pb2
from parley_proto.conversation.v1 import conversation_pb2


@strawberry.type
class Query:
    @strawberry.field
    async def me(self, info: Info) -> User:
        await info.context.caller.principal()
        reply = await info.context.backends.auth.GetUser(auth_pb2.GetUserRequest())
        return User.of(reply.user)

    @described(strawberry.field, "Models served now or configured, the default first.")
    async def models(self, info: Info) -> list[Model]:
        reply = await info.context.backends.conversation.ListModels(conversation_pb2.ListModelsRequest())
        return [Model.of(model) for model in reply.models]

    @described(
        strawberry.field,
        "null for an id that does not exist or belongs to somebody else; so do conversation and generation.",
    )
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:  # noqa: A002 - the schema's name
        principal = await info.context.caller.principal()
        key = parse_id(id)
        if key == principal.user_id:
            reply = await info.context.backends.auth.GetUser(auth_pb2.GetUserRequest())
            return User.of(reply.user)
        found = await asyncio.gather(_conversation(info, key), _message(info, key), _generation(info, key))
        return next((node for node in found if node is not None), None)

    @strawberry.field
    async def conversation(self, info: Info, id: strawberry.ID) -> Conversation | None:  # noqa: A002
        await info.context.caller.principal()
        return await _conversation(info, parse_id(id))

    @described(
        strawberry.field,
        "Newest activity first. archived: only the archived ones. search: words of the title or of the messages.",
    )
    async def conversations(
        self,
        info: Info,
        first: int | None = 20,
        after: str | None = strawberry.UNSET,
        archived: bool | None = False,
        search: str | None = strawberry.UNSET,
    ) -> ConversationConnection:
        await info.context.caller.principal()
        request = conversation_pb2.ListRequest(
            first=page_size(first, 20, "first"), after=given(after), archived=bool(archived), search=given(search)
        )
        reply = await info.context.backends.conversation.List(request)
        return ConversationConnection.of(reply, has_previous=given(after) is not None)

    @strawberry.field
    async def generation(self, info: Info, id: strawberry.ID) -> Generation | None:  # noqa: A002
        await info.context.caller.principal()
        return await _generation(info, parse_id(id))


async def _conversation(info: Info, key: str) -> Conversation | None:
    try:
        reply = await info.context.backends.conversation.Get(conversation_pb2.GetRequest(id=key))
    except NotFound:
        return None
    return Conversation.of(reply.conversation)


async def _message(info: Info, key: str) -> Message | None:
    found = await info.context.loaders.messages.load(key)
    return None if found is None else Message.of(found)


async def _generation(info: Info, key: str) -> Generation | None:
    found = await info.context.loaders.generations.load(key)
    return None if found is None else Generation.of(found)

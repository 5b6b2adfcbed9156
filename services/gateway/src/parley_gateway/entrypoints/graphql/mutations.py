"""The mutations."""

from __future__ import annotations

import strawberry

from parley_gateway.entrypoints.graphql.arguments import given, optional_id
from parley_gateway.entrypoints.graphql.context import Info
from parley_gateway.entrypoints.graphql.conversations import (
    Conversation,
    CreateConversationInput,
    UpdateConversationInput,
)
from parley_gateway.entrypoints.graphql.described import described
from parley_gateway.entrypoints.graphql.generations import Generation, GenerationParameters
from parley_gateway.entrypoints.graphql.messages import RegenerateInput, SendMessageInput, SendMessagePayload
from parley_gateway.entrypoints.graphql.users import Session, SignInInput, SignUpInput
from parley_kit.ids import parse_id
from parley_proto.auth.v1 import auth_pb2
from parley_proto.conversation.v1 import conversation_pb2, types_pb2


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def sign_up(self, info: Info, input: SignUpInput) -> Session:  # noqa: A002 - the schema's name
        request = auth_pb2.SignUpRequest(
            email=input.email,
            password=input.password,
            display_name=input.display_name,
            client_address=info.context.caller.address,
        )
        return Session.of((await info.context.backends.auth.SignUp(request)).session)

    @strawberry.mutation
    async def sign_in(self, info: Info, input: SignInInput) -> Session:  # noqa: A002
        request = auth_pb2.SignInRequest(
            email=input.email, password=input.password, client_address=info.context.caller.address
        )
        return Session.of((await info.context.backends.auth.SignIn(request)).session)

    @strawberry.mutation
    async def refresh_session(self, info: Info, refresh_token: str) -> Session:
        request = auth_pb2.RefreshRequest(refresh_token=refresh_token)
        return Session.of((await info.context.backends.auth.Refresh(request)).session)

    @described(strawberry.mutation, "Ends the session and every token of its family. True also when it had ended.")
    async def sign_out(self, info: Info, refresh_token: str) -> bool:
        await info.context.backends.auth.SignOut(auth_pb2.SignOutRequest(refresh_token=refresh_token))
        return True

    @strawberry.mutation
    async def create_conversation(self, info: Info, input: CreateConversationInput) -> Conversation:  # noqa: A002
        await info.context.caller.principal()
        request = conversation_pb2.CreateRequest(
            title=given(input.title), model=given(input.model), system_prompt=given(input.system_prompt)
        )
        return Conversation.of((await info.context.backends.conversation.Create(request)).conversation)

    @described(strawberry.mutation, "Fields left out stay as they are.")
    async def update_conversation(self, info: Info, input: UpdateConversationInput) -> Conversation:  # noqa: A002
        await info.context.caller.principal()
        request = conversation_pb2.UpdateRequest(
            id=parse_id(input.id),
            title=given(input.title),
            archived=given(input.archived),
            model=given(input.model),
            # null takes the prompt away, which is an empty one behind the gateway
            system_prompt="" if input.system_prompt is None else given(input.system_prompt),
        )
        return Conversation.of((await info.context.backends.conversation.Update(request)).conversation)

    @strawberry.mutation
    async def delete_conversation(self, info: Info, id: strawberry.ID) -> bool:  # noqa: A002
        await info.context.caller.principal()
        await info.context.backends.conversation.Delete(conversation_pb2.DeleteRequest(id=parse_id(id)))
        return True

    @strawberry.mutation
    async def send_message(self, info: Info, input: SendMessageInput) -> SendMessagePayload:  # noqa: A002
        await info.context.caller.principal()
        request = conversation_pb2.SendMessageRequest(
            conversation_id=parse_id(input.conversation_id, "conversationId"),
            content=input.content,
            parent_id=optional_id(input.parent_id, "parentId"),
            request_id=given(input.request_id),
            parameters=_parameters(input.parameters),
        )
        return SendMessagePayload.of(await info.context.backends.conversation.SendMessage(request))

    @described(strawberry.mutation, "Answers again what messageId (an assistant's message) answered, as its sibling.")
    async def regenerate(self, info: Info, input: RegenerateInput) -> SendMessagePayload:  # noqa: A002
        await info.context.caller.principal()
        request = conversation_pb2.RegenerateRequest(
            message_id=parse_id(input.message_id, "messageId"),
            request_id=given(input.request_id),
            parameters=_parameters(input.parameters),
        )
        return SendMessagePayload.of(await info.context.backends.conversation.Regenerate(request))

    @described(
        strawberry.mutation, "Returns once the stop is recorded; stopping a finished generation changes nothing."
    )
    async def stop_generation(self, info: Info, id: strawberry.ID) -> Generation:  # noqa: A002
        await info.context.caller.principal()
        request = conversation_pb2.StopGenerationRequest(id=parse_id(id))
        return Generation.of((await info.context.backends.conversation.StopGeneration(request)).generation)


def _parameters(parameters: GenerationParameters | None) -> types_pb2.GenerationParameters | None:
    chosen = given(parameters)
    return None if chosen is None else chosen.to_proto()

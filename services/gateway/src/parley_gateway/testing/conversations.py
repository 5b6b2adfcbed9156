"""A small conversation service: what it holds is put there by the test."""

# ruff: noqa: N802 - methods are named as in the proto

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import Any

import grpc.aio

from parley_gateway.testing.identity import CREATED
from parley_kit.context import current_principal
from parley_kit.errors import BadInput, NotFound
from parley_kit.ids import new_id
from parley_proto.conversation.v1 import conversation_pb2, conversation_pb2_grpc, types_pb2

Context = grpc.aio.ServicerContext[Any, Any]


class SmallConversations(conversation_pb2_grpc.ConversationServiceServicer):
    """Objects belong to whoever `owners` says. `calls` counts the calls of each method; `failure` is what they raise.

    List waits while `gate` is cleared.
    """

    def __init__(self) -> None:
        self.conversations: dict[str, types_pb2.Conversation] = {}
        self.messages: dict[str, types_pb2.Message] = {}
        self.generations: dict[str, types_pb2.Generation] = {}
        self.owners: dict[str, str] = {}
        self.models = [types_pb2.Model(name="small", context_length=512, available=True)]
        self.sent: list[conversation_pb2.SendMessageRequest] = []
        self.calls: Counter[str] = Counter()
        self._seen: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    def add_conversation(self, owner: str, title: str = "Untitled") -> types_pb2.Conversation:
        conversation = types_pb2.Conversation(
            id=new_id(), title=title, model="small", created_at=CREATED, updated_at=CREATED
        )
        self.conversations[conversation.id] = conversation
        self.owners[conversation.id] = owner
        return conversation

    def add_generation(self, owner: str, conversation_id: str = "") -> types_pb2.Generation:
        """One that runs."""
        generation = types_pb2.Generation(
            id=new_id(),
            conversation_id=conversation_id or new_id(),
            state=types_pb2.GENERATION_STATE_RUNNING,
            attempt=1,
            began_attempt=1,
            model="small",
            created_at=CREATED,
        )
        self.generations[generation.id] = generation
        self.owners[generation.id] = owner
        return generation

    def finish(self, generation: types_pb2.Generation, text: str) -> types_pb2.Message:
        """Store the answer and end the generation."""
        message = types_pb2.Message(
            id=new_id(),
            conversation_id=generation.conversation_id,
            role=types_pb2.ROLE_ASSISTANT,
            content=text,
            created_at=CREATED,
            generation_id=generation.id,
        )
        message.sibling_ids.append(message.id)
        self.messages[message.id] = message
        self.owners[message.id] = self.owners[generation.id]
        generation.state = types_pb2.GENERATION_STATE_COMPLETED
        generation.finish_reason = types_pb2.FINISH_REASON_STOP
        generation.finished_at.CopyFrom(CREATED)
        generation.usage.CopyFrom(types_pb2.Usage(prompt_tokens=3, completion_tokens=2))
        generation.message_id = message.id
        return message

    async def until_called(self, method: str) -> None:
        """Returns once `method` has been called."""
        async with asyncio.timeout(5):
            await self._seen[method].wait()

    async def Get(self, request: conversation_pb2.GetRequest, context: Context) -> conversation_pb2.GetResponse:
        self._called("Get")
        return conversation_pb2.GetResponse(conversation=self._own(self.conversations, request.id))

    async def List(self, request: conversation_pb2.ListRequest, context: Context) -> conversation_pb2.ListResponse:
        self._called("List")
        await self.gate.wait()
        mine = [one for one in self.conversations.values() if self._is_mine(one.id)][: request.first]
        edges = [conversation_pb2.ListResponse.Edge(conversation=one, cursor=f"c{one.id}") for one in mine]
        return conversation_pb2.ListResponse(edges=edges)

    async def Create(
        self, request: conversation_pb2.CreateRequest, context: Context
    ) -> conversation_pb2.CreateResponse:
        self._called("Create")
        if len(request.title) > 200:
            raise BadInput("title is over 200 characters", "title")
        created = self.add_conversation(current_principal().user_id, request.title or "Untitled")
        return conversation_pb2.CreateResponse(conversation=created)

    async def Update(
        self, request: conversation_pb2.UpdateRequest, context: Context
    ) -> conversation_pb2.UpdateResponse:
        self._called("Update")
        conversation = self._own(self.conversations, request.id)
        if request.HasField("title"):
            conversation.title = request.title
        if request.system_prompt:
            conversation.system_prompt = request.system_prompt
        elif request.HasField("system_prompt"):
            conversation.ClearField("system_prompt")
        return conversation_pb2.UpdateResponse(conversation=conversation)

    async def Delete(
        self, request: conversation_pb2.DeleteRequest, context: Context
    ) -> conversation_pb2.DeleteResponse:
        self._called("Delete")
        del self.conversations[self._own(self.conversations, request.id).id]
        return conversation_pb2.DeleteResponse()

    async def ListMessages(
        self, request: conversation_pb2.ListMessagesRequest, context: Context
    ) -> conversation_pb2.ListMessagesResponse:
        self._called("ListMessages")
        self._own(self.conversations, request.conversation_id)
        found = [one for one in self.messages.values() if one.conversation_id == request.conversation_id]
        edges = [conversation_pb2.ListMessagesResponse.Edge(message=one, cursor=f"m{one.id}") for one in found]
        return conversation_pb2.ListMessagesResponse(edges=edges[-request.last :])

    async def GetMessages(
        self, request: conversation_pb2.GetMessagesRequest, context: Context
    ) -> conversation_pb2.GetMessagesResponse:
        self._called("GetMessages")
        found = [self.messages[key] for key in request.ids if key in self.messages and self._is_mine(key)]
        return conversation_pb2.GetMessagesResponse(messages=found)

    async def SendMessage(
        self, request: conversation_pb2.SendMessageRequest, context: Context
    ) -> conversation_pb2.SendMessageResponse:
        self._called("SendMessage")
        conversation = self._own(self.conversations, request.conversation_id)
        self.sent.append(request)
        message = types_pb2.Message(
            id=new_id(), role=types_pb2.ROLE_USER, content=request.content, created_at=CREATED, seq=1
        )
        generation = self.add_generation(current_principal().user_id, conversation.id)
        return conversation_pb2.SendMessageResponse(user_message=message, generation=generation)

    async def Regenerate(
        self, request: conversation_pb2.RegenerateRequest, context: Context
    ) -> conversation_pb2.RegenerateResponse:
        self._called("Regenerate")
        message = self._own(self.messages, request.message_id)
        generation = self.add_generation(current_principal().user_id, message.conversation_id)
        return conversation_pb2.RegenerateResponse(user_message=message, generation=generation)

    async def StopGeneration(
        self, request: conversation_pb2.StopGenerationRequest, context: Context
    ) -> conversation_pb2.StopGenerationResponse:
        self._called("StopGeneration")
        return conversation_pb2.StopGenerationResponse(generation=self._own(self.generations, request.id))

    async def GetGeneration(
        self, request: conversation_pb2.GetGenerationRequest, context: Context
    ) -> conversation_pb2.GetGenerationResponse:
        self._called("GetGeneration")
        return conversation_pb2.GetGenerationResponse(generation=self._own(self.generations, request.id))

    async def GetGenerations(
        self, request: conversation_pb2.GetGenerationsRequest, context: Context
    ) -> conversation_pb2.GetGenerationsResponse:
        self._called("GetGenerations")
        found = [self.generations[key] for key in request.ids if key in self.generations and self._is_mine(key)]
        return conversation_pb2.GetGenerationsResponse(generations=found)

    async def ListModels(
        self, request: conversation_pb2.ListModelsRequest, context: Context
    ) -> conversation_pb2.ListModelsResponse:
        self._called("ListModels")
        return conversation_pb2.ListModelsResponse(models=self.models)

    def _called(self, method: str) -> None:
        self.calls[method] += 1
        self._seen[method].set()
        if self.failure is not None:
            raise self.failure

    def _is_mine(self, key: str) -> bool:
        return self.owners.get(key) == current_principal().user_id

    def _own(self, objects: dict[str, Any], key: str) -> Any:
        if key not in objects or not self._is_mine(key):
            raise NotFound("there is no such thing")
        return objects[key]

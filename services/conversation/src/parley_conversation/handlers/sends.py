"""Asking for an answer: send a message, or regenerate the answer to one. The insert of the generation is the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from parley_conversation import metrics
from parley_conversation.admission import Admission
from parley_conversation.branch import newest_leaf
from parley_conversation.domain.conversation import Conversation, Message, Role
from parley_conversation.domain.generation import (
    AppendMessage,
    Generation,
    Parameters,
    RequestInference,
)
from parley_conversation.domain.rules import Sizes, check_content, check_parameters, check_request_id
from parley_conversation.domain.title import UNTITLED, derive_title
from parley_conversation.handlers.access import Access
from parley_conversation.handlers.messages import BranchedMessage, MessageHandlers
from parley_conversation.ports import Stores
from parley_conversation.relay import Relay
from parley_kit.clock import Clock
from parley_kit.errors import BadInput, NotFound, Retryable
from parley_kit.ids import new_id
from parley_kit.logs import get_logger
from parley_kit.tasks import both, gather_all

log = get_logger(__name__)

FOLLOW_UP_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class SendMessage:
    """`parent_id` None: after the newest leaf; the conversation's own id: a new first message, beside any other.

    `request_id`: the client's key; a repetition gets the first result.
    """

    conversation_id: str
    content: str
    parent_id: str | None
    request_id: str | None
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class Regenerate:
    """Another answer to what `message_id`, an assistant's message, answered."""

    message_id: str
    request_id: str | None
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class Sent:
    user_message: BranchedMessage
    generation: Generation


class SendHandlers:
    def __init__(
        self,
        stores: Stores,
        access: Access,
        messages: MessageHandlers,
        relay: Relay,
        admission: Admission,
        clock: Clock,
        sizes: Sizes,
        time_limit: timedelta,
    ) -> None:
        self._stores = stores
        self._access = access
        self._messages = messages
        self._relay = relay
        self._admission = admission
        self._clock = clock
        self._sizes = sizes
        self._time_limit = time_limit

    async def send(self, owner_id: str, command: SendMessage) -> Sent:
        """Once this returns, the message is kept and its answer will end.

        Raises BadInput, NotFound, RateLimited or Overloaded before anything is kept; Unavailable when it is not known
        whether it is: then repeat it with the same request_id.
        """
        check_content(command.content, self._sizes)
        check_parameters(command.parameters)
        conversation = await self._access.conversation(owner_id, command.conversation_id)
        async with self._admission.turn(owner_id):
            known = await self._known(conversation, command.request_id)
            if known is not None:
                return await self._repeated(known)
            await both(self._admission.check(owner_id), self._relay.store_all(conversation.id))
            parent, seq = await both(self._parent(owner_id, command), self._reserve(conversation.id, 2))
            if command.parent_id is None and parent is not None and parent.seq > seq:
                # Another process's, whose message took a later place and was in the log first.
                parent = next(iter(await self._stores.chat_log.before(conversation.id, seq, 1)), None)
            siblings = await self._siblings(conversation.id, parent)
            question = self._new_question(conversation, command.content, parent, seq)
            draft = self._draft(conversation, command, question, question.seq + 1)
            draft = replace(draft, outbox=(AppendMessage(new_id(), question), *draft.outbox))
            generation = await self._stores.generations.insert(draft)
        if generation.id != draft.id:
            return await self._repeated(generation)
        await self._follow_up(conversation, generation, "send", question.content)
        return Sent(BranchedMessage(question, [*siblings, question.id]), generation)

    async def regenerate(self, owner_id: str, command: Regenerate) -> Sent:
        """As `send`; the new answer is a sibling of the message."""
        check_parameters(command.parameters)
        answer = await self._access.message(owner_id, command.message_id)
        conversation = await self._access.conversation(owner_id, answer.conversation_id)
        async with self._admission.turn(owner_id):
            known = await self._known(conversation, command.request_id)
            if known is not None:
                return await self._repeated(known)
            await self._admission.check(owner_id)
            question = await self._question(answer)
            draft = self._draft(conversation, command, question.message, await self._reserve(conversation.id, 1))
            generation = await self._stores.generations.insert(draft)
        if generation.id != draft.id:
            return await self._repeated(generation)
        await self._follow_up(conversation, generation, "regenerate", question.message.content)
        return Sent(question, generation)

    async def _known(self, conversation: Conversation, request_id: str | None) -> Generation | None:
        if request_id is None:
            return None
        check_request_id(request_id)
        return await self._stores.generations.find_request(conversation.id, request_id)

    async def _repeated(self, generation: Generation) -> Sent:
        """What the first request with this request_id was told, and how its answer stands now."""
        stored = await self._relay.store(generation)
        question = await self._message(generation.conversation_id, generation.user_seq)
        return Sent(question, stored)

    async def _parent(self, owner_id: str, command: SendMessage) -> Message | None:
        """Of what was acknowledged before, all is in the log by now."""
        if command.parent_id is None:
            return await newest_leaf(self._stores.chat_log, command.conversation_id)
        if command.parent_id == command.conversation_id:
            return None
        parent = await self._access.message(owner_id, command.parent_id)
        if parent.conversation_id != command.conversation_id:
            raise NotFound("there is no such message in this conversation")
        return parent

    async def _siblings(self, conversation_id: str, parent: Message | None) -> Sequence[str]:
        seq = parent.seq if parent else None
        return (await self._stores.chat_log.siblings(conversation_id, [seq])).get(seq, ())

    async def _question(self, answer: Message) -> BranchedMessage:
        if answer.role is not Role.ASSISTANT or answer.parent_seq is None:
            raise BadInput("messageId is not an assistant's message", "messageId")
        return await self._message(answer.conversation_id, answer.parent_seq)

    async def _message(self, conversation_id: str, seq: int) -> BranchedMessage:
        found = await self._messages.branched(conversation_id, await self._stores.chat_log.get(conversation_id, [seq]))
        if not found:
            raise NotFound("the conversation was deleted")
        return found[0]

    def _new_question(self, conversation: Conversation, content: str, parent: Message | None, seq: int) -> Message:
        return Message(
            conversation_id=conversation.id,
            seq=seq,
            id=new_id(),
            role=Role.USER,
            content=content,
            parent_seq=parent.seq if parent else None,
            parent_id=parent.id if parent else None,
            created_at=self._clock.now(),
        )

    async def _reserve(self, conversation_id: str, count: int) -> int:
        seq = await self._stores.conversations.reserve(conversation_id, count, self._clock.now())
        if seq is None:
            raise NotFound("there is no such conversation")
        return seq

    def _draft(
        self, conversation: Conversation, command: SendMessage | Regenerate, question: Message, answer_seq: int
    ) -> Generation:
        now = self._clock.now()
        return Generation(
            id=new_id(),
            conversation_id=conversation.id,
            owner_id=conversation.owner_id,
            request_id=command.request_id,
            model=conversation.model,
            parameters=command.parameters,
            user_seq=question.seq,
            user_message_id=question.id,
            answer_seq=answer_seq,
            answer_id=new_id(),
            created_at=now,
            deadline=now + self._time_limit,
            queued_at=now,
            outbox=(RequestInference(new_id()),),
        )

    async def _follow_up(self, conversation: Conversation, generation: Generation, kind: str, content: str) -> None:
        """What the commit owes, and the title. It is acknowledged whatever comes of this: the sweep pays the debts."""
        metrics.MESSAGES_SENT.labels(kind).inc()
        works = [_attempt("debts_left", generation, self._relay.pay(generation))]
        if conversation.title == UNTITLED:
            entitle = self._stores.conversations.entitle(conversation.id, derive_title(content))
            works.append(_attempt("not_entitled", generation, entitle))
        await gather_all(works)


async def _attempt(otherwise: str, generation: Generation, work: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(FOLLOW_UP_SECONDS):
            await work
    except (Retryable, TimeoutError) as error:
        log.warning(otherwise, generation_id=generation.id, reason=str(error) or "timeout")

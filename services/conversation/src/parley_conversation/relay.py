"""Pays what generations owe the other stores; each debt can be paid twice without harm.

The generation's document is the truth. A crash between two payments leaves the rest in its outbox, where the sweep
finds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace

from parley_conversation.branch import ancestry
from parley_conversation.catalogue import Catalogue
from parley_conversation.domain.context import Prompt, assemble, room
from parley_conversation.domain.conversation import Conversation, Message
from parley_conversation.domain.generation import (
    AppendMessage,
    Debt,
    EndStream,
    Generation,
    RequestInference,
    State,
)
from parley_conversation.facts import Facts
from parley_conversation.ports import Stores
from parley_kit.tasks import both
from parley_live import TokenStreams

CONTEXT_PAGE = 64


class Relay:
    def __init__(self, stores: Stores, facts: Facts, streams: TokenStreams, catalogue: Catalogue) -> None:
        self._stores = stores
        self._facts = facts
        self._streams = streams
        self._catalogue = catalogue

    async def pay(self, generation: Generation) -> None:
        """Pay all of the outbox: first the messages, so that they are readable, then the rest side by side.

        What is paid is settled in one write; what cannot be is left. Then raises Unavailable.
        """
        conversation = await self._stores.conversations.get(generation.conversation_id)
        prompts: Sequence[Prompt] | None = None
        if conversation is not None:
            prompts, _ = await both(self._prompts(generation, conversation), self.store(generation))
        paid: list[Debt] = []

        async def pay_in_turn(debts: Iterable[Debt]) -> None:
            for debt in debts:
                await self._pay(generation, conversation, prompts, debt)
                paid.append(debt)

        works = map(pay_in_turn, _turns(generation.outbox))
        outcomes = await asyncio.gather(*works, return_exceptions=True)
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if paid:
            stored = any(_is_answer(generation, debt) for debt in paid)
            await self._stores.generations.settle(generation.id, [debt.id for debt in paid], stored)
        if failures:
            raise failures[0]

    async def store(self, generation: Generation) -> Generation:
        """Make its messages readable and found, and say so in what comes back; the rest stays owed. Raises Unavailable.

        What a reader is shown never waits for the bus or the streams.
        """
        stored = generation.answer_stored
        for debt in generation.outbox:
            if isinstance(debt, AppendMessage):
                message = debt.message
                await both(self._stores.chat_log.append(message), self._stores.conversations.index(message))
                stored = stored or _is_answer(generation, debt)
        return replace(generation, answer_stored=stored)

    async def store_all(self, conversation_id: str) -> None:
        """Make every message that this conversation has acknowledged readable."""
        for generation in await self._stores.generations.unsettled(conversation_id):
            await self.store(generation)

    async def _pay(
        self, generation: Generation, conversation: Conversation | None, prompts: Sequence[Prompt] | None, debt: Debt
    ) -> None:
        """Of a conversation that was deleted nobody wants anything, but readers of a stream are let go."""
        match debt:
            case EndStream():
                await self._streams.end(generation.id)
            case AppendMessage(message=message) if conversation is not None:
                await self._facts.message_appended(message, generation.owner_id)
            case RequestInference() if prompts is not None:
                await self._facts.inference_requested(generation, prompts, _key(generation, debt))

    async def _prompts(self, generation: Generation, conversation: Conversation) -> Sequence[Prompt] | None:
        """What a worker is shown; None when none is to be asked."""
        asks = any(isinstance(debt, RequestInference) for debt in generation.outbox)
        if not asks or generation.state is not State.QUEUED:
            return None
        window = room(await self._catalogue.context_length(generation.model))
        return await assemble(conversation.system_prompt, self._branch(generation), window)

    async def _branch(self, generation: Generation) -> AsyncIterator[Message]:
        """The question and what it follows, newest first.

        The question may be on its way to the log only now; what a message follows was there before it was taken.
        """
        seq: int | None = generation.user_seq
        for debt in generation.outbox:
            if isinstance(debt, AppendMessage) and debt.message.seq == seq:
                yield debt.message
                seq = debt.message.parent_seq
        async for message in ancestry(self._stores.chat_log, generation.conversation_id, seq, CONTEXT_PAGE):
            yield message


def _turns(outbox: Iterable[Debt]) -> list[list[Debt]]:
    """What may be paid side by side. Messages are one: the bus is told of an answer after its question."""
    messages: list[Debt] = []
    turns = [messages]
    for debt in outbox:
        if isinstance(debt, AppendMessage):
            messages.append(debt)
        else:
            turns.append([debt])
    return turns


def _key(generation: Generation, debt: RequestInference) -> str:
    """At first the conversation, whose KV cache a worker may hold; later another, as that worker did not take it."""
    first = generation.attempt == 0 and generation.queued_at == generation.created_at
    return generation.conversation_id if first else debt.id


def _is_answer(generation: Generation, debt: Debt) -> bool:
    return isinstance(debt, AppendMessage) and debt.message.seq == generation.answer_seq

"""Pays what generations owe the other stores; each debt can be paid twice without harm.

The generation's document is the truth. A crash between two payments leaves the rest in its outbox, where the sweep
finds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
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

Prompts = Sequence[Prompt] | None
Begun = Mapping[str, asyncio.Task[Prompts]]


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
        if conversation is None:
            return await self._pay_all(generation, {})
        works = {debt.id: self._begin(generation, conversation, debt) for debt in generation.outbox}
        begun = {debt_id: asyncio.create_task(work) for debt_id, work in works.items()}
        try:
            await self.store(generation)
            await self._pay_all(generation, begun)
        finally:
            for task in begun.values():
                task.cancel()
            await asyncio.gather(*begun.values(), return_exceptions=True)

    async def store(self, generation: Generation) -> Generation:
        """Make its messages readable and say so in what comes back; the rest stays owed. Raises Unavailable.

        What a reader is shown never waits for the bus, the streams or the search index.
        """
        stored = generation.answer_stored
        for debt in generation.outbox:
            if isinstance(debt, AppendMessage):
                await self._stores.chat_log.append(debt.message)
                stored = stored or _is_answer(generation, debt)
        return replace(generation, answer_stored=stored)

    async def store_all(self, conversation_id: str) -> None:
        """Make every message that this conversation has acknowledged readable."""
        for generation in await self._stores.generations.unsettled(conversation_id):
            await self.store(generation)

    async def _pay_all(self, generation: Generation, begun: Begun) -> None:
        paid: list[Debt] = []

        async def pay_in_turn(debts: Iterable[Debt]) -> None:
            for debt in debts:
                await self._pay(generation, debt, begun.get(debt.id))
                paid.append(debt)

        works = map(pay_in_turn, _turns(generation.outbox))
        outcomes = await asyncio.gather(*works, return_exceptions=True)
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if paid:
            stored = any(_is_answer(generation, debt) for debt in paid)
            await self._stores.generations.settle(generation.id, [debt.id for debt in paid], stored)
        if failures:
            raise failures[0]

    async def _pay(self, generation: Generation, debt: Debt, begun: asyncio.Task[Prompts] | None) -> None:
        """Of a conversation that was deleted nobody wants anything, but readers of a stream are let go."""
        match debt:
            case EndStream():
                await self._streams.end(generation.id)
            case AppendMessage(message=message) if begun is not None:
                await both(begun, self._facts.message_appended(message, generation.owner_id))
            case RequestInference() if begun is not None and (prompts := await begun) is not None:
                await self._facts.inference_requested(generation, prompts, _key(generation, debt))

    async def _begin(self, generation: Generation, conversation: Conversation, debt: Debt) -> Prompts:
        """What need not wait until the messages are in the log: to index them, and to read what a worker is shown."""
        match debt:
            case AppendMessage(message=message):
                await self._stores.conversations.index(message)
            case RequestInference() if generation.state is State.QUEUED:
                window = room(await self._catalogue.context_length(generation.model))
                return await assemble(conversation.system_prompt, self._branch(generation), window)
        return None

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

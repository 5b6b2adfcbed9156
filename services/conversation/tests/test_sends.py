"""Asking for an answer: the commit, idempotency, limits, branches."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from parley_conversation.domain.conversation import Role
from parley_conversation.domain.generation import FinishReason, Generation, Parameters, State
from parley_conversation.domain.outcome import Ending
from parley_conversation.handlers.sends import Regenerate, Sent
from parley_kit.errors import BadInput, NotFound, Overloaded, RateLimited, Unavailable
from parley_kit.ids import new_id
from parley_proto.events.v1 import events_pb2 as events


async def answer(world: Any, generation: Generation, text: str) -> None:
    claimed = await world.service.leases.claim(generation.id, "worker-1")
    ending = Ending(State.COMPLETED, text, claimed.attempt, FinishReason.STOP)
    assert await world.service.endings.apply(generation.id, claimed.attempt, ending)


async def exchange(world: Any, conversation_id: str, question: str, reply: str, **options: Any) -> Sent:
    sent: Sent = await world.send(conversation_id, question, **options)
    await answer(world, sent.generation, reply)
    return sent


async def test_a_send_stores_the_message_and_asks_a_worker(world: Any) -> None:
    conversation = await world.conversation()
    sent = await world.send(conversation.id, "  Hello\n")
    assert sent.user_message.message.content == "  Hello\n"
    assert sent.user_message.sibling_ids == [sent.user_message.message.id]
    assert (sent.generation.state, sent.generation.attempt) == (State.QUEUED, 0)
    assert await world.contents(conversation.id) == ["  Hello\n"]
    [asked] = world.bus.published(events.InferenceRequested)
    assert [message.content for message in asked.messages] == ["  Hello\n"]
    assert asked.generation_id == sent.generation.id
    [appended] = world.bus.published(events.MessageAppended)
    assert appended.message.id == sent.user_message.message.id
    assert not (await world.stored(sent.generation.id)).outbox


async def test_a_repeated_request_id_gets_the_first_result(world: Any) -> None:
    conversation = await world.conversation()
    first = await world.send(conversation.id, "one", request_id="r")
    again = await world.send(conversation.id, "two", request_id="r")
    assert again.user_message == first.user_message
    assert again.generation.id == first.generation.id
    assert await world.contents(conversation.id) == ["one"]


async def test_racing_sends_with_one_request_id_make_one_message(world: Any) -> None:
    conversation = await world.conversation()
    sent = await asyncio.gather(*(world.send(conversation.id, "x", request_id="r") for _ in range(20)))
    assert len({it.generation.id for it in sent}) == 1
    assert len({it.user_message.message.id for it in sent}) == 1
    assert await world.contents(conversation.id) == ["x"]


async def test_the_same_request_id_in_another_conversation_is_another_request(world: Any) -> None:
    first = await world.send((await world.conversation()).id, request_id="r")
    other = await world.send((await world.conversation()).id, request_id="r")
    assert first.generation.id != other.generation.id


async def test_a_repeated_request_id_is_no_new_load(open_world: Any, tmp_path: Path) -> None:
    async with open_world(tmp_path, max_active_per_user=1) as world:
        conversation = await world.conversation()
        first, again = await asyncio.gather(
            world.send(conversation.id, request_id="r"), world.send(conversation.id, request_id="r")
        )
        assert first.generation.id == again.generation.id


async def test_one_user_has_a_limit_even_when_all_come_at_once(open_world: Any, tmp_path: Path) -> None:
    async with open_world(tmp_path, max_active_per_user=4) as world:
        conversation = await world.conversation()
        outcomes = await asyncio.gather(*(world.send(conversation.id) for _ in range(10)), return_exceptions=True)
        refusals = [it for it in outcomes if isinstance(it, RateLimited)]
        assert len(refusals) == 6
        assert all(it.retry_after > 0 for it in refusals)
        assert len(await world.stores.generations.unsettled(conversation.id)) == 4


async def test_an_answer_that_ends_makes_room(open_world: Any, tmp_path: Path) -> None:
    async with open_world(tmp_path, max_active_per_user=1) as world:
        conversation = await world.conversation()
        await exchange(world, conversation.id, "one", "1")
        await world.send(conversation.id, "two")


async def test_everybody_together_has_a_limit(open_world: Any, tmp_path: Path) -> None:
    async with open_world(tmp_path, max_active=2) as world:
        for _ in range(2):
            world.owner = new_id()
            await world.sent()
        world.owner = new_id()
        with pytest.raises(Overloaded):
            await world.sent()


@pytest.mark.parametrize("content", ["", " \n ", "x" * 100_001])
async def test_refused_content_leaves_nothing_behind(world: Any, content: str) -> None:
    conversation = await world.conversation()
    with pytest.raises(BadInput):
        await world.send(conversation.id, content)
    assert not await world.stores.generations.unsettled(conversation.id)


async def test_a_message_follows_the_newest_leaf(world: Any) -> None:
    conversation = await world.conversation()
    await exchange(world, conversation.id, "one", "1")
    sent = await world.send(conversation.id, "two")
    answers = await world.stores.chat_log.before(conversation.id, sent.user_message.message.seq, 1)
    assert (answers[0].role, answers[0].id) == (Role.ASSISTANT, sent.user_message.message.parent_id)


async def test_an_edit_is_a_sibling_of_what_it_edits(world: Any) -> None:
    conversation = await world.conversation()
    await exchange(world, conversation.id, "one", "1")
    original = await exchange(world, conversation.id, "two", "2")
    edited = await exchange(world, conversation.id, "too", "3", parent_id=original.user_message.message.parent_id)
    both = [original.user_message.message.id, edited.user_message.message.id]
    assert edited.user_message.sibling_ids == both
    assert await world.contents(conversation.id) == ["one", "1", "too", "3"]
    old_branch = await world.contents(conversation.id, leaf_id=original.generation.answer_id)
    assert old_branch == ["one", "1", "two", "2"]


async def test_the_first_message_is_edited_by_naming_the_root(world: Any) -> None:
    conversation = await world.conversation()
    original = await exchange(world, conversation.id, "one", "1")
    edited = await exchange(world, conversation.id, "won", "2", parent_id=conversation.id)
    assert edited.user_message.message.parent_id is None
    assert edited.user_message.sibling_ids == [original.user_message.message.id, edited.user_message.message.id]
    assert await world.contents(conversation.id) == ["won", "2"]


async def test_a_parent_in_another_conversation_is_not_found(world: Any) -> None:
    other = await world.send((await world.conversation()).id)
    with pytest.raises(NotFound):
        await world.send((await world.conversation()).id, parent_id=other.user_message.message.id)


async def test_regenerate_answers_the_same_question_again(world: Any) -> None:
    conversation = await world.conversation()
    first = await exchange(world, conversation.id, "why?", "because")
    command = Regenerate(first.generation.answer_id, None, Parameters())
    again = await world.service.handlers.sends.regenerate(world.owner, command)
    assert again.user_message.message == first.user_message.message
    await answer(world, again.generation, "I cannot say")
    assert await world.contents(conversation.id) == ["why?", "I cannot say"]
    page = await world.service.handlers.messages.page(world.owner, conversation.id, 10, None, None)
    assert page.messages[-1].sibling_ids == [first.generation.answer_id, again.generation.answer_id]
    asked = world.bus.published(events.InferenceRequested)[-1]
    assert [message.content for message in asked.messages] == ["why?"]


async def test_a_repeated_regenerate_gets_the_first_result(world: Any) -> None:
    first = await exchange(world, (await world.conversation()).id, "why?", "because")
    command = Regenerate(first.generation.answer_id, "again", Parameters())
    regenerate = world.service.handlers.sends.regenerate
    one, two = await asyncio.gather(regenerate(world.owner, command), regenerate(world.owner, command))
    assert one.generation.id == two.generation.id


async def test_only_answers_can_be_regenerated(world: Any) -> None:
    sent = await world.send((await world.conversation()).id)
    command = Regenerate(sent.user_message.message.id, None, Parameters())
    with pytest.raises(BadInput) as refused:
        await world.service.handlers.sends.regenerate(world.owner, command)
    assert refused.value.field == "messageId"


async def test_the_prompt_is_the_branch_and_the_system_prompt(world: Any) -> None:
    handlers = world.service.handlers
    conversation = await handlers.conversations.create(world.owner, None, "tiny", "Be brief.")
    await exchange(world, conversation.id, "one", "1")
    await exchange(world, conversation.id, "two", "2")
    await world.send(conversation.id, "three")
    asked = world.bus.published(events.InferenceRequested)[-1]
    assert [it.content for it in asked.messages] == ["Be brief.", "one", "1", "two", "2", "three"]


async def test_the_first_words_become_the_title_until_the_user_gives_one(world: Any) -> None:
    handlers = world.service.handlers.conversations
    conversation = await world.conversation()
    await exchange(world, conversation.id, "How do I cook rice?", "Slowly.")
    assert (await handlers.get(world.owner, conversation.id)).title == "How do I cook rice?"
    await exchange(world, conversation.id, "And beans?", "Longer.")
    assert (await handlers.get(world.owner, conversation.id)).title == "How do I cook rice?"
    named = await world.conversation("Kitchen")
    await world.send(named.id, "Something else")
    assert (await handlers.get(world.owner, named.id)).title == "Kitchen"


async def test_the_first_message_names_the_conversation_also_while_the_bus_is_away(world: Any) -> None:
    async def away(*_: Any) -> None:
        raise Unavailable("the bus is away")

    conversation = await world.conversation()
    publish, world.bus.publish = world.bus.publish, away
    await world.send(conversation.id, "First words")
    world.bus.publish = publish
    await world.send(conversation.id, "Second words")
    assert (await world.service.handlers.conversations.get(world.owner, conversation.id)).title == "First words"


class SlowlyAway:
    """A chat log that answers nothing, and is found to be away after a while."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self.reads = 0
        self.away = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    async def before(self, conversation_id: str, seq: int | None, most: int) -> Any:
        if not self.away:
            return await self._port.before(conversation_id, seq, most)
        self.reads += 1
        await asyncio.sleep(0.05)
        raise Unavailable("the log is away")


async def test_a_store_that_hangs_is_waited_for_once_by_all_sends_of_a_user(open_world: Any, tmp_path: Path) -> None:
    """They take turns: one after another, the last would wait many times as long as the first."""
    logs: list[SlowlyAway] = []

    def wrap(port: Any) -> Any:
        if not hasattr(port, "siblings"):
            return port
        logs.append(SlowlyAway(port))
        return logs[0]

    async with open_world(tmp_path, wrap=wrap) as world:
        conversation = await world.conversation()
        logs[0].away = True
        outcomes = await asyncio.gather(*(world.send(conversation.id) for _ in range(8)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {Unavailable}
        assert logs[0].reads == 1
        logs[0].away = False
        assert await world.send(conversation.id)

"""Reading a conversation: branches, pages, cursors, what is stored before it is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from parley_conversation.cursor import message_cursor
from parley_conversation.domain.conversation import Message, Role
from parley_conversation.domain.generation import FinishReason, State
from parley_conversation.domain.outcome import Ending, settle
from parley_kit.errors import BadInput, NotFound
from parley_kit.ids import new_id


async def _log(world: Any, conversation_id: str, parents: list[int | None]) -> list[Message]:
    """Messages with seq 1, 2, ... that follow these parents."""
    made: list[Message] = []
    for seq, parent in enumerate(parents, 1):
        parent_id = made[parent - 1].id if parent else None
        message = Message(conversation_id, seq, new_id(), Role.USER, f"m{seq}", parent, parent_id, world.clock.now())
        await world.stores.chat_log.append(message)
        made.append(message)
    return made


async def test_pages_backwards_are_the_whole_branch_once(world: Any) -> None:
    conversation = await world.conversation()
    await _log(world, conversation.id, [None, 1, 2, 3, 4, 5, 6])
    seen: list[str] = []
    before = None
    for expected in (["m6", "m7"], ["m4", "m5"], ["m2", "m3"], ["m1"]):
        page = await world.service.handlers.messages.page(world.owner, conversation.id, 2, before, None)
        contents = [it.message.content for it in page.messages]
        assert contents == expected
        assert page.has_next == (before is not None)
        assert page.has_previous == (contents[0] != "m1")
        before = message_cursor(page.messages[0].message)
        seen = contents + seen
    page = await world.service.handlers.messages.page(world.owner, conversation.id, 2, before, None)
    assert (page.messages, page.has_previous, page.has_next) == ([], False, True)
    assert seen == [f"m{seq}" for seq in range(1, 8)]


async def test_a_branch_jumps_over_its_siblings(world: Any) -> None:
    conversation = await world.conversation()
    made = await _log(world, conversation.id, [None, 1, 1, 2, 3, *([4] * 40), 5])
    assert await world.contents(conversation.id) == ["m1", "m3", "m5", "m46"]
    assert await world.contents(conversation.id, leaf_id=made[3].id, last=2) == ["m2", "m4"]
    page = await world.service.handlers.messages.page(world.owner, conversation.id, 9, None, made[3].id)
    assert page.messages[1].sibling_ids == [made[1].id, made[2].id]


async def test_a_page_of_a_long_linear_chat_takes_few_reads(world: Any) -> None:
    conversation = await world.conversation()
    await _log(world, conversation.id, [None, *range(1, 300)])
    reads = 0
    before = world.stores.chat_log.before

    async def counted(*arguments: Any) -> Any:
        nonlocal reads
        reads += 1
        return await before(*arguments)

    world.stores.chat_log.before = counted
    assert len(await world.contents(conversation.id, last=50)) == 50
    assert reads <= 2


async def test_an_empty_conversation_is_an_empty_page(world: Any) -> None:
    conversation = await world.conversation()
    page = await world.service.handlers.messages.page(world.owner, conversation.id, 50, None, None)
    assert (page.messages, page.has_previous, page.has_next) == ([], False, False)


async def test_a_cursor_to_a_message_that_never_was_is_bad_input(world: Any) -> None:
    conversation = await world.conversation()
    [message] = await _log(world, conversation.id, [None])
    forged = message_cursor(replace(message, parent_seq=77))
    with pytest.raises(BadInput):
        await world.service.handlers.messages.page(world.owner, conversation.id, 50, forged, None)


async def test_a_leaf_of_another_conversation_is_not_found(world: Any) -> None:
    [elsewhere] = await _log(world, (await world.conversation()).id, [None])
    with pytest.raises(NotFound):
        await world.contents((await world.conversation()).id, leaf_id=elsewhere.id)


async def test_a_finished_answer_is_stored_before_it_is_shown_as_finished(world: Any) -> None:
    """The crash between the end and its payment: readers get the answer all the same, and in both ways."""
    generation = await world.sent()
    lease = await world.service.leases.claim(generation.id, "worker-1")
    ending = Ending(State.COMPLETED, "Hi.", lease.attempt, FinishReason.STOP)
    outcome = settle(generation, ending, world.clock.now())
    await world.stores.generations.finish(generation.id, lease.attempt, outcome)
    assert not await world.stores.chat_log.locate([generation.answer_id])
    shown = await world.service.handlers.generations.get(world.owner, generation.id)
    assert shown.answer_stored
    assert await world.stores.chat_log.locate([generation.answer_id])


async def test_a_page_holds_what_was_acknowledged_but_not_yet_stored(world: Any) -> None:
    generation = await world.sent("Hello")
    lease = await world.service.leases.claim(generation.id, "worker-1")
    outcome = settle(generation, Ending(State.COMPLETED, "Hi.", lease.attempt, FinishReason.STOP), world.clock.now())
    await world.stores.generations.finish(generation.id, lease.attempt, outcome)
    assert await world.contents(generation.conversation_id) == ["Hello", "Hi."]


async def test_an_answer_without_text_is_no_message(world: Any) -> None:
    generation = await world.sent("Hello")
    lease = await world.service.leases.claim(generation.id, "worker-1")
    await world.service.endings.apply(
        generation.id, lease.attempt, Ending(State.COMPLETED, "", lease.attempt, FinishReason.STOP)
    )
    assert await world.contents(generation.conversation_id) == ["Hello"]
    assert not (await world.stored(generation.id)).answer_stored


async def test_a_page_of_long_messages_is_cut_to_what_one_call_can_carry(world: Any) -> None:
    conversation = await world.conversation()
    parent: Message | None = None
    for seq in range(1, 9):
        content = f"{seq}" + "😀" * 99_999
        parent_seq, parent_id = (parent.seq, parent.id) if parent else (None, None)
        parent = Message(conversation.id, seq, new_id(), Role.USER, content, parent_seq, parent_id, world.clock.now())
        await world.stores.chat_log.append(parent)
    page = await world.service.handlers.messages.page(world.owner, conversation.id, 200, None, None)
    assert [it.message.content[0] for it in page.messages] == ["4", "5", "6", "7", "8"]
    assert page.has_previous

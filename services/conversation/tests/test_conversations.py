"""Conversations and the models they use: create, list, change, delete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from parley_conversation.cursor import conversation_cursor
from parley_conversation.domain.generation import FinishReason, State
from parley_conversation.domain.outcome import Ending
from parley_conversation.ports import ConversationChanges
from parley_kit.errors import BadInput, NotFound, Unavailable
from parley_kit.ids import new_id
from parley_proto.events.v1 import events_pb2 as events


async def _titles(world: Any, **options: Any) -> list[str]:
    arguments = {"first": 20, "after": None, "archived": False, "search": None, **options}
    page = await world.service.handlers.conversations.list(world.owner, **arguments)
    return [conversation.title for conversation in page.conversations]


async def test_newest_activity_comes_first_and_pages_follow(world: Any) -> None:
    made = []
    for number in range(5):
        world.clock.advance(1)
        made.append(await world.conversation(f"c{number}"))
    world.clock.advance(1)
    await world.send(made[0].id)
    assert await _titles(world) == ["c0", "c4", "c3", "c2", "c1"]
    page = await world.service.handlers.conversations.list(world.owner, 2, None, False, None)
    assert page.has_next
    after = conversation_cursor(page.conversations[-1])
    assert await _titles(world, after=after) == ["c3", "c2", "c1"]


async def test_equal_times_are_paged_without_loss(world: Any) -> None:
    for number in range(5):
        await world.conversation(f"c{number}")
    seen, after = [], None
    while True:
        page = await world.service.handlers.conversations.list(world.owner, 2, after, False, None)
        seen += [conversation.title for conversation in page.conversations]
        if not page.has_next:
            break
        after = conversation_cursor(page.conversations[-1])
    assert sorted(seen) == [f"c{number}" for number in range(5)]


async def test_search_finds_titles_and_messages(world: Any) -> None:
    await world.send((await world.conversation("Kitchen")).id, "How do I cook rice?")
    await world.conversation("Garden")
    assert await _titles(world, search="rice") == ["Kitchen"]
    assert await _titles(world, search="gard") == ["Garden"]
    assert sorted(await _titles(world, search="  ")) == ["Garden", "Kitchen"]


async def test_changes_left_out_stay(world: Any) -> None:
    handlers = world.service.handlers.conversations
    made = await handlers.create(world.owner, "T", "tiny", "Be kind.")
    archived = await handlers.update(world.owner, made.id, ConversationChanges(archived=True))
    assert (archived.title, archived.system_prompt, archived.archived) == ("T", "Be kind.", True)
    assert await _titles(world) == []
    assert await _titles(world, archived=True) == ["T"]
    without = await handlers.update(world.owner, made.id, ConversationChanges(system_prompt=""))
    assert without.system_prompt is None
    [*_, told] = world.bus.published(events.ConversationUpdated)
    assert told.conversation.id == made.id


@pytest.mark.parametrize(
    ("title", "model", "prompt", "field"),
    [("x" * 201, None, None, "title"), (None, "nope", None, "model"), (None, None, "x" * 100_001, "systemPrompt")],
)
async def test_bad_input_names_the_field(
    world: Any, title: str | None, model: str | None, prompt: str | None, field: str
) -> None:
    with pytest.raises(BadInput) as refused:
        await world.service.handlers.conversations.create(world.owner, title, model, prompt)
    assert refused.value.field == field


async def test_after_a_delete_all_below_it_is_gone(world: Any) -> None:
    handlers = world.service.handlers
    generation = await world.sent()
    lease = await world.service.leases.claim(generation.id, "worker-1")
    async with world.live.listen() as signals:
        await handlers.conversations.delete(world.owner, generation.conversation_id)
        assert await anext(signals) == generation.id
    for gone in (
        handlers.conversations.get(world.owner, generation.conversation_id),
        handlers.conversations.delete(world.owner, generation.conversation_id),
        handlers.generations.get(world.owner, generation.id),
        handlers.generations.stop(world.owner, generation.id),
        world.contents(generation.conversation_id),
        world.send(generation.conversation_id),
        world.send((await world.conversation()).id, parent_id=generation.user_message_id),
    ):
        with pytest.raises(NotFound):
            await gone
    assert not await handlers.messages.get_many(world.owner, [generation.user_message_id])
    assert len(world.bus.published(events.ConversationDeleted)) == 1
    late = Ending(State.COMPLETED, "late", lease.attempt, FinishReason.STOP)
    await world.service.endings.apply(generation.id, lease.attempt, late)
    assert not await handlers.messages.get_many(world.owner, [generation.answer_id])


async def test_what_was_deleted_is_purged(world: Any) -> None:
    generation = await world.sent()
    await world.service.handlers.conversations.delete(world.owner, generation.conversation_id)
    await world.service.sweep.tick()
    assert await world.stores.generations.get(generation.id) is None
    assert not await world.stores.chat_log.before(generation.conversation_id, None, 5)
    world.clock.advance(11)
    await world.service.sweep.tick()
    assert not await world.stores.conversations.purgeable(5)


async def test_a_deleted_conversation_is_offered_to_no_worker(world: Any) -> None:
    generation = await world.sent()
    await world.service.handlers.conversations.delete(world.owner, generation.conversation_id)
    assert await world.service.leases.claim(generation.id, "worker-1") is None


async def test_the_default_model_comes_first_and_is_used(open_world: Any, tmp_path: Path) -> None:
    async with open_world(tmp_path, default_model="zeta") as world:
        await world.service.leases.heartbeat("worker-1", "alpha", 512, {})
        listed = await world.service.handlers.catalogue.listed()
        assert [(it.name, it.available) for it in listed] == [("zeta", False), ("alpha", True), ("tiny", False)]
        created = await world.service.handlers.conversations.create(world.owner, None, None, None)
        assert created.model == "zeta"


async def test_without_a_default_the_served_model_is_used(world: Any) -> None:
    await world.service.leases.heartbeat("worker-1", "zeta", 512, {})
    created = await world.service.handlers.conversations.create(world.owner, None, None, None)
    assert created.model == "zeta"


async def test_a_model_whose_worker_is_gone_is_unavailable_then_unlisted_but_never_unknown(world: Any) -> None:
    catalogue = world.service.handlers.catalogue
    await world.service.leases.heartbeat("worker-1", "zeta", 512, {})
    world.clock.advance(7.1)
    assert [it.available for it in await catalogue.listed() if it.name == "zeta"] == [False]
    world.clock.advance(60)
    assert [it.name for it in await catalogue.listed()] == ["tiny"]
    await world.conversation(model="zeta")
    assert await catalogue.context_length("zeta") == 512


async def test_while_no_model_is_known_nothing_can_be_created(open_world: Any, tmp_path: Path) -> None:
    async with open_world(tmp_path, models={}) as world:
        with pytest.raises(Unavailable):
            await world.service.handlers.conversations.create(world.owner, None, None, None)


async def test_a_stranger_sees_nothing(world: Any) -> None:
    made = await world.conversation("Private")
    world.owner = new_id()
    assert await _titles(world) == []
    with pytest.raises(NotFound):
        await world.service.handlers.conversations.update(world.owner, made.id, ConversationChanges(title="x"))

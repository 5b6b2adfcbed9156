"""Conversations: their life from insert to purge, and their listing."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from parley_conversation.domain.conversation import Conversation
from parley_conversation.ports import ConversationChanges, ConversationQuery, Conversations
from parley_conversation.testing.harness import StoresHarness, after, conversation, ids, message
from parley_kit.ids import new_id


class ConversationLifeContract(StoresHarness):
    async def test_what_was_inserted_is_read(self, conversations: Conversations) -> None:
        """Every field, the instants to the microsecond, comes back as it was."""
        made = replace(conversation(title="Über \0 😀"), system_prompt="Be brief.\n", archived=True)
        await conversations.insert(made)
        assert await conversations.get(made.id) == made

    async def test_absent_ones_are_none_or_left_out(self, conversations: Conversations) -> None:
        """`get` finds nothing, `get_many` those that exist, each once."""
        made = [conversation(), conversation()]
        await asyncio.gather(*(conversations.insert(each) for each in made))
        assert await conversations.get(new_id()) is None
        found = await conversations.get_many([made[0].id, new_id(), made[1].id, made[0].id])
        assert sorted(ids(found)) == sorted(ids(made))
        assert await conversations.get_many([]) == []

    async def test_update_changes_what_is_given(self, conversations: Conversations) -> None:
        """None leaves a field as it is; updated_at moves."""
        made = replace(conversation(title="old"), system_prompt="Be brief.")
        await conversations.insert(made)
        updated = await conversations.update(made.id, ConversationChanges(title="new"), after(5))
        assert updated == replace(made, title="new", updated_at=after(5))
        archived = await conversations.update(made.id, ConversationChanges(archived=True, model="other"), after(6))
        assert archived == replace(made, title="new", archived=True, model="other", updated_at=after(6))
        assert await conversations.get(made.id) == archived

    async def test_an_empty_system_prompt_is_none(self, conversations: Conversations) -> None:
        """That is how a client takes it away."""
        made = replace(conversation(), system_prompt="Be brief.")
        await conversations.insert(made)
        replaced = await conversations.update(made.id, ConversationChanges(system_prompt="Be long."), after(1))
        assert replaced is not None
        assert replaced.system_prompt == "Be long."
        removed = await conversations.update(made.id, ConversationChanges(system_prompt=""), after(2))
        assert removed is not None
        assert removed.system_prompt is None

    async def test_update_of_an_absent_one_is_none(self, conversations: Conversations) -> None:
        """And makes nothing."""
        absent = new_id()
        assert await conversations.update(absent, ConversationChanges(title="new"), after(1)) is None
        assert await conversations.get(absent) is None

    async def test_entitle_gives_the_first_title_only(self, conversations: Conversations) -> None:
        """A title stays once it is there, and updated_at does not move."""
        made = conversation()
        await conversations.insert(made)
        await conversations.entitle(made.id, "first")
        await conversations.entitle(made.id, "second")
        assert await conversations.get(made.id) == replace(made, title="first")

    async def test_reserve_gives_each_caller_its_own_seqs(self, conversations: Conversations) -> None:
        """From 1 on, disjoint under concurrency, without a gap."""
        made, other = conversation(), conversation()
        await asyncio.gather(conversations.insert(made), conversations.insert(other))
        counts = [1, 2, 3] * 10
        firsts = await asyncio.gather(*(conversations.reserve(made.id, count, after(1)) for count in counts))
        given = [first + step for first, count in zip(firsts, counts, strict=True) if first for step in range(count)]
        assert sorted(given) == list(range(1, sum(counts) + 1))
        assert await conversations.reserve(other.id, 2, after(1)) == 1

    async def test_reserve_moves_updated_at_forward_only(self, conversations: Conversations) -> None:
        """A caller whose clock is behind does not take it back; nor does an update."""
        made = conversation()
        await conversations.insert(made)
        await conversations.reserve(made.id, 2, after(9))
        await conversations.reserve(made.id, 2, after(3))
        await conversations.update(made.id, ConversationChanges(title="new"), after(4))
        assert await conversations.get(made.id) == replace(made, title="new", updated_at=after(9))

    async def test_reserve_in_an_absent_one_is_none(self, conversations: Conversations) -> None:
        """Nobody writes below a conversation that is not there."""
        assert await conversations.reserve(new_id(), 2, after(1)) is None

    async def test_deleted_is_absent_for_every_method(self, conversations: Conversations) -> None:
        """From the moment that `delete` returned."""
        made = conversation(title="zebra")
        await conversations.insert(made)
        assert await conversations.delete(made.id)
        assert not await conversations.delete(made.id)
        await conversations.entitle(made.id, "ghost")
        await conversations.index(message(made.id, 1, "ghost"))
        assert await conversations.get(made.id) is None
        assert await conversations.get_many([made.id]) == []
        assert await conversations.reserve(made.id, 2, after(1)) is None
        assert await conversations.update(made.id, ConversationChanges(archived=False), after(1)) is None
        for search in (None, "zebra", "ghost"):
            assert await conversations.find(ConversationQuery(made.owner_id, False, 10, search=search)) == []

    async def test_deleted_is_purgeable_until_it_is_purged(self, conversations: Conversations) -> None:
        """At most as many as asked for; a living one never, and `purged` does not touch it."""
        made = [conversation() for _ in range(4)]
        await asyncio.gather(*(conversations.insert(each) for each in made))
        await asyncio.gather(*(conversations.delete(each.id) for each in made[1:]))
        assert len(await conversations.purgeable(2)) == 2
        assert sorted(await conversations.purgeable(10)) == sorted(ids(made[1:]))
        for each in made:
            await conversations.purged(each.id)
        assert await conversations.purgeable(10) == []
        assert await conversations.get(made[0].id) == made[0]


class ListingContract(StoresHarness):
    async def test_find_gives_newest_activity_first(self, conversations: Conversations) -> None:
        """Ordered by updated_at, which a reserved seq moves."""
        owner = new_id()
        made = [conversation(owner, at=at) for at in (1, 3, 2)]
        await asyncio.gather(*(conversations.insert(each) for each in made))
        assert await _find(conversations, owner) == ids([made[1], made[2], made[0]])
        await conversations.reserve(made[0].id, 1, after(9))
        assert await _find(conversations, owner) == ids([made[0], made[1], made[2]])

    async def test_find_keeps_to_the_owner_and_to_archived(self, conversations: Conversations) -> None:
        """Another's are never in it; archived ones are listed apart."""
        owner = new_id()
        mine, filed = conversation(owner), conversation(owner, archived=True)
        await asyncio.gather(*(conversations.insert(each) for each in (mine, filed, conversation())))
        assert await _find(conversations, owner) == [mine.id]
        assert await _find(conversations, owner, archived=True) == [filed.id]

    async def test_pages_join_without_gap_or_repeat(self, conversations: Conversations) -> None:
        """Also where many share their updated_at, and where it differs by a microsecond."""
        owner = new_id()
        made = [conversation(owner, at=at) for at in [1.0] * 5 + [1.000001] * 3 + [2.0] * 4]
        await asyncio.gather(*(conversations.insert(each) for each in made))
        seen: list[Conversation] = []
        while page := await conversations.find(_next(owner, 3, seen)):
            assert len(page) <= 3
            seen += page
        made.sort(key=lambda each: (each.updated_at, each.id), reverse=True)
        assert ids(seen) == ids(made)


def _next(owner: str, first: int, seen: list[Conversation]) -> ConversationQuery:
    last = (seen[-1].updated_at, seen[-1].id) if seen else None
    return ConversationQuery(owner, False, first, after=last)


async def _find(conversations: Conversations, owner: str, archived: bool = False) -> list[str]:
    return ids(await conversations.find(ConversationQuery(owner, archived, 100)))

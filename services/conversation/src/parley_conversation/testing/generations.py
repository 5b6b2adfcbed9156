"""Generations as documents: the commit point, reading, debts."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from parley_conversation.domain.conversation import Role
from parley_conversation.domain.generation import AppendMessage, EndStream, Parameters, RequestInference
from parley_conversation.ports import Generations
from parley_conversation.testing.harness import StoresHarness, after, generation, ids, message
from parley_kit.ids import new_id


class DocumentsContract(StoresHarness):
    async def test_what_was_inserted_is_read(self, generations: Generations) -> None:
        """Every field, its parameters and its debts in their order, comes back as it was."""
        said = replace(message(new_id(), 5, " \0 😀\n", parent_seq=4), role=Role.ASSISTANT, prompt_tokens=0)
        made = generation(
            said.conversation_id,
            AppendMessage(new_id(), said),
            RequestInference(new_id()),
            EndStream(new_id()),
            parameters=Parameters(9, 0.1, 0.9, 40, -(2**63), ("\n\n", "stop")),
        )
        assert await generations.insert(made) == made
        assert await generations.get(made.id) == made

    async def test_a_repeated_request_is_the_first_one(self, generations: Generations) -> None:
        """Nothing is written; its other fields do not matter."""
        first = generation()
        await generations.insert(first)
        again = generation(first.conversation_id, EndStream(new_id()), request_id=first.request_id, user_seq=3)
        assert await generations.insert(again) == first
        assert await generations.get(again.id) is None
        assert await generations.find_request(first.conversation_id, str(first.request_id)) == first

    async def test_one_of_many_equal_requests_at_once_wins(self, generations: Generations) -> None:
        """And all callers are told of that one."""
        request = generation()
        results = await asyncio.gather(*(generations.insert(replace(request, id=new_id())) for _ in range(20)))
        assert len({each.id for each in results}) == 1
        assert len(await generations.unsettled(request.conversation_id)) == 1

    async def test_a_request_id_counts_in_its_conversation_only(self, generations: Generations) -> None:
        """Another conversation may use the same; without one nothing is ever a repetition."""
        first, other = generation(request_id="1"), generation(request_id="1")
        nameless = [generation(first.conversation_id, request_id=None) for _ in range(2)]
        for each in (first, other, *nameless):
            assert await generations.insert(each) == each
        assert await generations.find_request(other.conversation_id, "1") == other
        assert await generations.find_request(other.conversation_id, "2") is None

    async def test_absent_ones_are_none_or_left_out(self, generations: Generations) -> None:
        """For reads and for writes."""
        made = [generation(), generation()]
        await asyncio.gather(*map(generations.insert, made))
        found = await generations.get_many([made[0].id, new_id(), made[1].id, made[0].id])
        assert sorted(ids(found)) == sorted(ids(made))
        assert await generations.get_many([]) == []
        assert await generations.get(new_id()) is None
        assert await generations.claim(new_id(), "worker", after(1), after(7)) is None
        assert await generations.request_cancel(new_id(), after(1)) is None
        await generations.settle(new_id(), [new_id()])

    async def test_a_settled_debt_is_gone_and_the_others_stay(self, generations: Generations) -> None:
        """Idempotent; paid in any order; each of many settled at once."""
        debts = [EndStream(new_id()) for _ in range(8)]
        made = generation(None, *debts)
        await generations.insert(made)
        await asyncio.gather(*(generations.settle(made.id, [debt.id]) for debt in [*debts[1:4], debts[3]]))
        await generations.settle(made.id, [debts[4].id, new_id(), debts[5].id])
        await generations.settle(made.id, [new_id()])
        left = await generations.get(made.id)
        assert left == replace(made, outbox=(debts[0], *debts[6:]))

    async def test_settling_the_answer_says_that_it_is_stored(self, generations: Generations) -> None:
        """In the same write; settling another debt later does not take it back."""
        debts = [EndStream(new_id()), EndStream(new_id())]
        made = generation(None, *debts)
        await generations.insert(made)
        await generations.settle(made.id, [debts[0].id], answer_stored=True)
        await generations.settle(made.id, [debts[1].id])
        assert await generations.get(made.id) == replace(made, outbox=(), answer_stored=True)

    async def test_those_of_a_conversation_are_deleted(self, generations: Generations) -> None:
        """However many, and nobody else's."""
        mine, other = [generation("mine", request_id=None) for _ in range(30)], generation()
        await asyncio.gather(*map(generations.insert, [*mine, other]))
        for _ in range(2):
            await generations.delete_of("mine")
        assert await generations.get_many(ids([*mine, other])) == [other]
        assert await generations.unsettled("mine") == []

"""What the sweep and the limits ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from parley_conversation.domain.generation import EndStream, Generation, RequestInference, State
from parley_conversation.ports import Generations
from parley_conversation.testing.harness import START, StoresHarness, after, generation, ids, outcome
from parley_kit.ids import new_id

NEVER = after(-1)
"""Before all that the tests write."""


class SweepingContract(StoresHarness):
    async def test_active_counts_queued_and_running(self, generations: Generations) -> None:
        """The owner's and everybody's; a finished one, even an indebted one, no more."""
        mine = [generation(owner_id="me") for _ in range(3)]
        await asyncio.gather(*map(generations.insert, [*mine, generation(), generation()]))
        await generations.claim(mine[0].id, "worker", after(1), after(7))
        assert await generations.active("me") == (3, 5)
        assert await generations.active("nobody") == (0, 5)
        await generations.finish(mine[0].id, 1, outcome(State.COMPLETED, EndStream(new_id())))
        assert await generations.active("me") == (2, 4)

    async def test_overdue_past_the_deadline(self, generations: Generations) -> None:
        """Queued or running, from the instant itself on; never once it is terminal."""
        queued, running, ended = [generation(deadline=after(60)) for _ in range(3)]
        await asyncio.gather(*map(generations.insert, (queued, running, ended)))
        await generations.claim(running.id, "worker", after(1), after(500))
        await generations.finish(ended.id, 0, outcome())
        assert await _overdue(generations, after(59.999999)) == []
        assert await _overdue(generations, after(60)) == sorted(ids([queued, running]))

    async def test_overdue_by_a_lease_that_ran_out(self, generations: Generations) -> None:
        """Or that a fence took away; a renewed one is not."""
        lapsed, renewed, fenced = [generation() for _ in range(3)]
        for each in (lapsed, renewed, fenced):
            await generations.insert(each)
            await generations.claim(each.id, "worker", after(1), after(7))
        await generations.renew("worker", {renewed.id: 1}, after(9))
        assert await _overdue(generations, after(6)) == []
        await generations.fence(fenced.id, 1)
        assert await _overdue(generations, after(6)) == [fenced.id]
        assert await _overdue(generations, after(7)) == sorted([lapsed.id, fenced.id])

    async def test_overdue_by_waiting_for_a_claim(self, generations: Generations) -> None:
        """Since it was queued, last asked for or given back; a claimed one waits no more."""
        asked, given, claimed = [generation() for _ in range(3)]
        await asyncio.gather(*map(generations.insert, (asked, given, claimed)))
        for each in (given, claimed):
            await generations.claim(each.id, "worker", after(1), after(700))
        assert await _overdue(generations, after(20), unclaimed_since=START) == [asked.id]
        await generations.request_again(asked.id, after(30))
        await generations.requeue(given.id, 1, after(20))
        assert await _overdue(generations, after(40), unclaimed_since=after(19)) == []
        assert await _overdue(generations, after(40), unclaimed_since=after(20)) == [given.id]
        assert await _overdue(generations, after(40), unclaimed_since=after(30)) == sorted([given.id, asked.id])

    async def test_overdue_by_a_stop_that_nobody_answered(self, generations: Generations) -> None:
        """Whatever its state, once the stop is that old."""
        queued, running, untouched = [generation() for _ in range(3)]
        await asyncio.gather(*map(generations.insert, (queued, running, untouched)))
        await generations.claim(running.id, "worker", after(1), after(500))
        for each in (queued, running):
            await generations.request_cancel(each.id, after(5))
        assert await _overdue(generations, after(6), cancelled_since=after(4)) == []
        assert await _overdue(generations, after(7), cancelled_since=after(5)) == sorted(ids([queued, running]))

    async def test_overdue_gives_no_more_than_asked_for(self, generations: Generations) -> None:
        """The rest comes once these have been dealt with."""
        made = [generation(deadline=after(60)) for _ in range(5)]
        await asyncio.gather(*map(generations.insert, made))
        found: Sequence[Generation] = await generations.overdue(after(70), START, START, 3)
        assert len(found) == 3
        for each in found:
            await generations.finish(each.id, 0, outcome(State.EXPIRED))
        assert len(await generations.overdue(after(70), START, START, 3)) == 2

    async def test_indebted_since(self, generations: Generations) -> None:
        """A debt, and no change of state since: in any state, until all is settled; at most as many as asked for."""
        debt = EndStream(new_id())
        fresh, ended, free = generation(None, RequestInference(new_id())), generation(), generation()
        await asyncio.gather(*map(generations.insert, (fresh, ended, free)))
        await generations.finish(ended.id, 0, outcome(State.COMPLETED, debt, at=30))
        assert ids(await generations.indebted(after(1), 10)) == [fresh.id]
        assert sorted(ids(await generations.indebted(after(31), 10))) == sorted(ids([fresh, ended]))
        assert len(await generations.indebted(after(31), 1)) == 1
        await generations.settle(ended.id, [debt.id])
        await generations.request_again(fresh.id, after(40))
        assert await generations.indebted(after(39), 10) == []
        assert ids(await generations.indebted(after(41), 10)) == [fresh.id]

    async def test_unsettled_of_a_conversation(self, generations: Generations) -> None:
        """What is not terminal or owes something, oldest user_seq first, then oldest; nobody else's."""
        debt = EndStream(new_id())
        rivals = [generation("here", user_seq=5, created_at=after(at)) for at in (2, 1)]
        indebted, running, done = [generation("here", user_seq=seq) for seq in (3, 1, 7)]
        await asyncio.gather(*map(generations.insert, [*rivals, indebted, running, done, generation("there")]))
        await generations.claim(running.id, "worker", after(1), after(7))
        await generations.finish(indebted.id, 0, outcome(State.COMPLETED, debt))
        await generations.finish(done.id, 0, outcome())
        expected = ids([running, indebted, rivals[1], rivals[0]])
        assert ids(await generations.unsettled("here")) == expected
        await generations.settle(indebted.id, [debt.id])
        assert ids(await generations.unsettled("here")) == [each for each in expected if each != indebted.id]


async def _overdue(
    generations: Generations,
    now: datetime,
    unclaimed_since: datetime = NEVER,
    cancelled_since: datetime = NEVER,
) -> list[str]:
    return sorted(ids(await generations.overdue(now, unclaimed_since, cancelled_since, 10)))

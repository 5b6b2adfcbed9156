"""Claims and leases: who works on a generation, and at which attempt."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from parley_conversation.domain.generation import MAX_ATTEMPTS, AppendMessage, Generation, RequestInference, State
from parley_conversation.ports import Generations, Renewal
from parley_conversation.testing.harness import StoresHarness, after, generation, message, outcome
from parley_kit.ids import new_id


class LeasesContract(StoresHarness):
    async def test_a_claim_takes_the_lease(self, generations: Generations) -> None:
        """RUNNING at attempt 1, the worker's until the lease runs out; what it owes stays."""
        made = generation(None, RequestInference(new_id()))
        await generations.insert(made)
        claimed = await generations.claim(made.id, "worker-1", after(1), after(7))
        expected = replace(made, state=State.RUNNING, attempt=1, worker_id="worker-1", lease_until=after(7))
        assert claimed == expected
        assert await generations.get(made.id) == expected

    async def test_of_many_claims_at_once_one_wins(self, generations: Generations) -> None:
        """The others are refused."""
        made = generation()
        await generations.insert(made)
        claims = (generations.claim(made.id, f"worker-{number}", after(1), after(7)) for number in range(20))
        won = [claim for claim in await asyncio.gather(*claims) if claim]
        assert [claim.attempt for claim in won] == [1]
        assert await generations.get(made.id) == won[0]

    async def test_a_live_lease_is_respected_until_it_runs_out(self, generations: Generations) -> None:
        """Also by the worker that holds it; then the next claim gets the next attempt."""
        made = await _claimed(generations)
        assert await generations.claim(made.id, "worker-2", after(6.999999), after(20)) is None
        assert await generations.claim(made.id, "worker-1", after(6.999999), after(20)) is None
        again = await generations.claim(made.id, "worker-2", after(7), after(20))
        assert again is not None
        assert (again.attempt, again.worker_id) == (2, "worker-2")

    async def test_attempts_run_out(self, generations: Generations) -> None:
        """After the last allowed one there is no other, however it was lost."""
        made = generation()
        await generations.insert(made)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            claimed = await generations.claim(made.id, "worker", after(attempt * 10), after(attempt * 10 + 6))
            assert claimed is not None
            assert claimed.attempt == attempt
        assert await generations.claim(made.id, "worker", after(100), after(106)) is None
        assert await generations.requeue(made.id, MAX_ATTEMPTS, after(100))
        assert await generations.claim(made.id, "worker", after(100), after(106)) is None

    async def test_no_claim_after_the_deadline_or_a_stop_or_the_end(self, generations: Generations) -> None:
        """Each alone is enough for a refusal."""
        late, stopped, ended = generation(deadline=after(5)), generation(), generation()
        await asyncio.gather(*map(generations.insert, (late, stopped, ended)))
        await generations.request_cancel(stopped.id, after(1))
        await generations.finish(ended.id, 0, outcome())
        assert await generations.claim(late.id, "worker", after(5), after(11)) is None
        assert await generations.claim(stopped.id, "worker", after(5), after(11)) is None
        assert await generations.claim(ended.id, "worker", after(5), after(11)) is None
        assert await generations.claim(late.id, "worker", after(4.999999), after(11)) is not None

    async def test_renewing_keeps_a_lease(self, generations: Generations) -> None:
        """All of a worker's in one call; an answer for each that holds, and only for these."""
        mine = [await _claimed(generations) for _ in range(3)]
        leases = {each.id: each.attempt for each in mine}
        renewed = await generations.renew("worker-1", {**leases, new_id(): 1}, after(50))
        assert sorted(renewed, key=lambda renewal: renewal.generation_id) == [
            Renewal(generation_id, cancel=False) for generation_id in sorted(leases)
        ]
        assert [each.lease_until for each in await generations.get_many([*leases])] == [after(50)] * 3
        assert await generations.claim(mine[0].id, "worker-2", after(49), after(60)) is None
        assert await generations.renew("worker-1", {}, after(60)) == []

    async def test_a_renewal_that_comes_late_takes_nothing_away(self, generations: Generations) -> None:
        """Held up on its way, it arrives after the next one: the lease holds, for as long as that one said."""
        made = await _claimed(generations)
        await generations.renew("worker-1", {made.id: 1}, after(50))
        assert await generations.renew("worker-1", {made.id: 1}, after(20)) == [Renewal(made.id, cancel=False)]
        [stored] = await generations.get_many([made.id])
        assert stored.lease_until == after(50)

    async def test_only_the_holder_renews(self, generations: Generations) -> None:
        """Not another worker, not an older or a later attempt, not what is queued, fenced or finished."""
        running, queued, fenced, done = [await _claimed(generations) for _ in range(4)]
        await generations.requeue(queued.id, 1, after(2))
        await generations.fence(fenced.id, 1)
        await generations.finish(done.id, 1, outcome())
        assert await generations.renew("worker-2", {running.id: 1}, after(50)) == []
        assert await generations.renew("$worker_id", {running.id: 1}, after(50)) == []
        assert await generations.renew("worker-1", {running.id: 0}, after(50)) == []
        assert await generations.renew("worker-1", {running.id: 2}, after(50)) == []
        assert await generations.renew("worker-1", {queued.id: 1, done.id: 1}, after(50)) == []
        assert await generations.renew("worker-1", {fenced.id: 1}, after(50)) == []
        assert await generations.renew("worker-1", {fenced.id: 2}, after(50)) == []
        assert await generations.get(running.id) == running

    async def test_a_lease_taken_over_is_lost(self, generations: Generations) -> None:
        """The old worker's renewal finds nothing, the new one's holds: also when both are the same worker."""
        made = await _claimed(generations)
        await generations.claim(made.id, "worker-1", after(8), after(14))
        assert await generations.renew("worker-1", {made.id: 1}, after(50)) == []
        assert await generations.renew("worker-1", {made.id: 2}, after(50)) == [Renewal(made.id, cancel=False)]

    async def test_a_renewal_tells_of_a_stop(self, generations: Generations) -> None:
        """The lease holds until the worker has ended it."""
        made = await _claimed(generations)
        stopped = await generations.request_cancel(made.id, after(2))
        assert stopped == replace(made, cancel_requested_at=after(2))
        assert await generations.renew("worker-1", {made.id: 1}, after(50)) == [Renewal(made.id, cancel=True)]

    async def test_the_first_stop_counts(self, generations: Generations) -> None:
        """A repetition keeps its time; a terminal one cannot be stopped."""
        made = generation()
        await generations.insert(made)
        await generations.request_cancel(made.id, after(2))
        again = await generations.request_cancel(made.id, after(9))
        assert again is not None
        assert again.cancel_requested_at == after(2)
        finished = await generations.finish(made.id, 0, outcome(State.CANCELLED))
        assert await generations.request_cancel(made.id, after(40)) is None
        assert await generations.get(made.id) == finished

    async def test_requeue_gives_the_generation_back(self, generations: Generations) -> None:
        """QUEUED without a lease, owing one request more; attempts count on."""
        made = await _claimed(generations)
        assert await generations.requeue(made.id, 1, after(8))
        queued = await generations.get(made.id)
        assert queued is not None
        assert isinstance(queued.outbox[-1], RequestInference)
        expected = replace(made, state=State.QUEUED, worker_id=None, lease_until=None, queued_at=after(8))
        assert queued == replace(expected, outbox=queued.outbox)
        again = await generations.claim(made.id, "worker-2", after(9), after(15))
        assert again is not None
        assert again.attempt == 2

    async def test_what_is_handed_back_uses_up_no_attempt(self, generations: Generations) -> None:
        """However often; the attempt rises all the same, and those that were lost still run out."""
        made = generation()
        await generations.insert(made)
        for attempt in range(1, 10):
            claimed = await generations.claim(made.id, "worker", after(attempt * 10), after(attempt * 10 + 6))
            assert claimed is not None
            assert claimed.attempt == attempt
            assert await generations.requeue(made.id, attempt, after(attempt * 10 + 1), attempt not in (6, 9))
        stored = await generations.get(made.id)
        assert stored is not None
        assert (stored.attempt, stored.handed_back) == (9, 7)
        assert await generations.claim(made.id, "worker", after(110), after(116)) is not None
        assert await generations.requeue(made.id, 10, after(111))
        assert await generations.claim(made.id, "worker", after(120), after(126)) is None

    async def test_requeue_of_what_moved_on_is_refused(self, generations: Generations) -> None:
        """Of many at once one happens; never at another attempt, queued or finished."""
        made, done = await _claimed(generations), await _claimed(generations)
        assert not await generations.requeue(made.id, 0, after(8))
        results = await asyncio.gather(*(generations.requeue(made.id, 1, after(8)) for _ in range(10)))
        assert sorted(results) == [False] * 9 + [True]
        await generations.finish(done.id, 1, outcome())
        assert not await generations.requeue(done.id, 1, after(8))
        assert not await generations.requeue(new_id(), 1, after(8))

    async def test_asking_again_owes_one_request(self, generations: Generations) -> None:
        """It replaces the one still owed, after what else is; queued_at moves, only while QUEUED."""
        append = AppendMessage(new_id(), message(new_id(), 1))
        made = generation(append.message.conversation_id, RequestInference(new_id()), append)
        await generations.insert(made)
        for second in (10, 20):
            assert await generations.request_again(made.id, after(second))
        asked = await generations.get(made.id)
        assert asked is not None
        first, request = asked.outbox
        assert first == append
        assert isinstance(request, RequestInference)
        assert request not in made.outbox
        assert asked == replace(made, queued_at=after(20), outbox=asked.outbox)
        await generations.claim(made.id, "worker-1", after(21), after(27))
        assert not await generations.request_again(made.id, after(30))


async def _claimed(generations: Generations) -> Generation:
    """A new generation, claimed by worker-1 at second 1 until second 7."""
    made = generation()
    await generations.insert(made)
    claimed = await generations.claim(made.id, "worker-1", after(1), after(7))
    assert claimed is not None
    return claimed

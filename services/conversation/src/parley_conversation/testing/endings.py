"""Ends: one terminal state, told by the attempt that counts."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from parley_conversation.domain.generation import (
    AppendMessage,
    EndStream,
    Failure,
    FinishReason,
    Outcome,
    RequestInference,
    State,
    Usage,
)
from parley_conversation.ports import Generations
from parley_conversation.testing.harness import StoresHarness, after, generation, message, outcome
from parley_kit.ids import new_id


class EndingsContract(StoresHarness):
    async def test_finish_writes_the_whole_end(self, generations: Generations) -> None:
        """State, reason, times, usage, failure and what the end owes, and the lease is gone, in one write."""
        made = generation()
        await generations.insert(made)
        claimed = await generations.claim(made.id, "worker-1", after(1), after(7))
        assert claimed is not None
        answer = AppendMessage(new_id(), message(made.conversation_id, 2, parent_seq=1))
        end = Outcome(
            State.FAILED,
            FinishReason.ERROR,
            after(5),
            began_attempt=1,
            usage=Usage(10, 0, 4),
            failure=Failure("INTERNAL", "it broke: “so”"),
            outbox=(answer, EndStream(new_id())),
        )
        expected = replace(
            claimed,
            state=State.FAILED,
            finish_reason=FinishReason.ERROR,
            finished_at=after(5),
            began_attempt=1,
            usage=end.usage,
            failure=end.failure,
            worker_id=None,
            lease_until=None,
            outbox=end.outbox,
        )
        assert await generations.finish(made.id, 1, end) == expected
        assert await generations.get(made.id) == expected

    async def test_the_end_replaces_the_request_and_keeps_other_debts(self, generations: Generations) -> None:
        """A user's message still unpaid comes before what the end owes; nobody needs the request any more."""
        append = AppendMessage(new_id(), message(new_id(), 1))
        made = generation(append.message.conversation_id, append, RequestInference(new_id()))
        await generations.insert(made)
        end = EndStream(new_id())
        finished = await generations.finish(made.id, 0, outcome(State.CANCELLED, end))
        assert finished is not None
        assert finished.outbox == (append, end)

    async def test_of_many_ends_at_once_one_counts(self, generations: Generations) -> None:
        """And it is the one that stays."""
        made = generation()
        await generations.insert(made)
        await generations.claim(made.id, "worker-1", after(1), after(7))
        states = [State.COMPLETED, State.FAILED, State.CANCELLED, State.EXPIRED] * 5
        ends = await asyncio.gather(*(generations.finish(made.id, 1, outcome(state)) for state in states))
        won = [end for end in ends if end]
        assert len(won) == 1
        assert await generations.get(made.id) == won[0]

    async def test_an_older_attempt_cannot_end_it(self, generations: Generations) -> None:
        """Nor one that never was; the holder then does."""
        made = generation()
        await generations.insert(made)
        await generations.claim(made.id, "worker-1", after(1), after(7))
        claimed = await generations.claim(made.id, "worker-2", after(8), after(14))
        for attempt in (0, 1, 3):
            assert await generations.finish(made.id, attempt, outcome()) is None
        assert await generations.get(made.id) == claimed
        assert await generations.finish(made.id, 2, outcome()) is not None

    async def test_the_attempt_that_was_requeued_may_still_end_it(self, generations: Generations) -> None:
        """Until somebody claims the next: what it made is not thrown away."""
        made = generation()
        await generations.insert(made)
        await generations.claim(made.id, "worker-1", after(1), after(7))
        await generations.requeue(made.id, 1, after(8))
        finished = await generations.finish(made.id, 1, outcome())
        assert finished is not None
        assert finished.outbox == ()

    async def test_terminal_never_changes(self, generations: Generations) -> None:
        """Whatever is tried, at any attempt."""
        made = generation()
        await generations.insert(made)
        finished = await generations.finish(made.id, 0, outcome())
        assert await generations.finish(made.id, 0, outcome(State.FAILED)) is None
        assert await generations.fence(made.id, 0) is None
        assert await generations.claim(made.id, "worker", after(1), after(7)) is None
        assert not await generations.requeue(made.id, 0, after(1))
        assert not await generations.request_again(made.id, after(1))
        assert await generations.get(made.id) == finished

    async def test_a_fence_shuts_the_holder_out(self, generations: Generations) -> None:
        """Attempt + 1 and no lease: its end and its renewal are refused, an end at the new attempt is taken."""
        made = generation()
        await generations.insert(made)
        claimed = await generations.claim(made.id, "worker-1", after(1), after(7))
        assert claimed is not None
        fenced = await generations.fence(made.id, 1)
        assert fenced == replace(claimed, attempt=2, worker_id=None, lease_until=None)
        assert await generations.get(made.id) == fenced
        assert await generations.finish(made.id, 1, outcome()) is None
        assert await generations.finish(made.id, 2, outcome(State.EXPIRED)) is not None

    async def test_of_many_fences_at_once_one_wins(self, generations: Generations) -> None:
        """Also against the holder's end: either it ends or it is shut out."""
        made = generation()
        await generations.insert(made)
        await generations.claim(made.id, "worker-1", after(1), after(7))
        fences = [generations.fence(made.id, 1) for _ in range(10)]
        ended, *fenced = await asyncio.gather(generations.finish(made.id, 1, outcome()), *fences)
        assert len([each for each in (ended, *fenced) if each]) == 1

    async def test_what_is_queued_can_be_fenced(self, generations: Generations) -> None:
        """Then a claim takes the attempt after that."""
        made = generation()
        await generations.insert(made)
        assert await generations.fence(made.id, 0) == replace(made, attempt=1)
        assert await generations.fence(made.id, 0) is None
        claimed = await generations.claim(made.id, "worker-1", after(1), after(7))
        assert claimed is not None
        assert claimed.attempt == 2

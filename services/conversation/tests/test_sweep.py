"""The sweep when what it needs hangs rather than fails, and what a purge leaves behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from parley_conversation import sweep
from parley_conversation.domain.generation import EndStream, FinishReason, Outcome, State
from parley_live import Delta, End, Fenced


async def test_repairs_that_hang_hold_up_none_of_the_others(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when more of them hang than go on at once."""
    monkeypatch.setattr(sweep, "ITEM_SECONDS", 1.0)  # what does not hang writes to a disk meanwhile
    monkeypatch.setattr(sweep, "AT_ONCE", 2)
    hanging = [await world.sent() for _ in range(4)]
    for generation in hanging:
        assert await world.service.leases.claim(generation.id, "worker-1") is not None
    waiting = await world.sent()
    world.live.raise_fence = lambda *_: asyncio.Event().wait()
    world.clock.advance(600)
    await world.service.sweep.tick()
    assert {(await world.stored(generation.id)).state for generation in hanging} == {State.RUNNING}
    assert (await world.stored(waiting.id)).state is State.EXPIRED


@pytest.mark.parametrize("ended", [False, True])
async def test_the_purge_ends_the_streams_of_what_was_deleted(world: Any, ended: bool) -> None:
    """Else a stream that nobody ends keeps a deleted answer for hours, and takes what a lost worker still writes."""
    generation = await world.sent()
    lease = await world.service.leases.claim(generation.id, "worker-1")
    await world.live.raise_fence(generation.id, lease.attempt)
    await world.live.append(generation.id, [Delta(lease.attempt, lease.attempt, 0, "secret")])
    if ended:
        outcome = Outcome(State.COMPLETED, FinishReason.STOP, world.clock.now(), 1, outbox=(EndStream("debt"),))
        await world.stores.generations.finish(generation.id, lease.attempt, outcome)
    await world.service.handlers.conversations.delete(world.owner, generation.conversation_id)
    await world.service.sweep.tick()
    assert await world.stores.generations.get(generation.id) is None
    assert isinstance((await world.live.read(generation.id, None, 0))[-1].value, End)
    with pytest.raises(Fenced):
        await world.live.append(generation.id, [Delta(lease.attempt, lease.attempt, 6, "s")])


async def test_a_store_that_hangs_does_not_stop_the_sweep(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = await world.sent()
    world.clock.advance(600)
    with monkeypatch.context() as patch:
        patch.setattr(sweep, "ITEM_SECONDS", 0.1)
        patch.setattr(world.stores.generations, "overdue", lambda *_: asyncio.Event().wait())
        await world.service.sweep.tick()
    await world.service.sweep.tick()
    assert (await world.stored(waiting.id)).state is State.EXPIRED


async def test_what_another_process_has_purged_leaves_nothing_here(world: Any) -> None:
    """Else each deletion would stay in the memory of all sweeps but the one that completed it."""
    generation = await world.sent()
    await world.service.handlers.conversations.delete(world.owner, generation.conversation_id)
    await world.service.sweep.tick()
    assert world.service.sweep._purged
    await world.stores.conversations.purged(generation.conversation_id)
    await world.service.sweep.tick()
    assert not world.service.sweep._purged

"""The sweep when what it needs hangs rather than fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from parley_conversation import sweep
from parley_conversation.domain.generation import State


async def test_repairs_that_hang_hold_up_none_of_the_others(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when more of them hang than go on at once."""
    monkeypatch.setattr(sweep, "ITEM_SECONDS", 0.1)
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


async def test_a_store_that_hangs_does_not_stop_the_sweep(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "ITEM_SECONDS", 0.1)
    waiting = await world.sent()
    overdue = world.stores.generations.overdue
    monkeypatch.setattr(world.stores.generations, "overdue", lambda *_: asyncio.Event().wait())
    world.clock.advance(600)
    await world.service.sweep.tick()
    monkeypatch.setattr(world.stores.generations, "overdue", overdue)
    await world.service.sweep.tick()
    assert (await world.stored(waiting.id)).state is State.EXPIRED

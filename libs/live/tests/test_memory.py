from __future__ import annotations

import asyncio

import pytest

from parley_kit.clock import ManualClock
from parley_live import Delta, Rate
from parley_live.listeners import BACKLOG
from parley_live.memory import MemoryLive
from parley_live.testing.contract import LiveContract
from parley_live.testing.harness import Advance


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def live(clock: ManualClock) -> MemoryLive:
    return MemoryLive(clock, retention=300.0, lifetime=3600.0)


class TestMemoryLive(LiveContract):
    @pytest.fixture
    def advance(self, clock: ManualClock) -> Advance:
        async def advance(seconds: float) -> None:
            clock.advance(seconds)

        return advance


async def test_a_reader_blocked_on_a_stream_that_expires_returns_empty(live: MemoryLive, clock: ManualClock) -> None:
    await live.raise_fence("id", 1)
    waiting = asyncio.create_task(live.read("id", None, 0.1))
    await asyncio.sleep(0.01)
    clock.advance(3601)
    assert await waiting == []


async def test_what_has_expired_is_dropped(live: MemoryLive, clock: ManualClock) -> None:
    for index in range(100):
        await live.end(f"id-{index}")
        await live.take(f"key-{index}", Rate(5, 60))
        await live.revoke(f"token-{index}", 60)
    assert [len(kept) for kept in (live._streams, live._due, live._revoked)] == [100, 100, 100]
    clock.advance(12)  # one of five in 60 s: full again
    assert [len(kept) for kept in (live._streams, live._due, live._revoked)] == [100, 0, 100]
    clock.advance(300)
    assert [len(kept) for kept in (live._streams, live._due, live._revoked)] == [0, 0, 0]


async def test_readers_that_leave_leave_nothing(live: MemoryLive) -> None:
    assert await live.read("id", None, 0.01) == []
    cancelled = asyncio.create_task(live.read("id", None, 30))
    await asyncio.sleep(0.01)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    assert len(live._readers) == 0


async def test_a_reader_that_is_cancelled_does_not_disturb_the_writer(live: MemoryLive) -> None:
    await live.raise_fence("id", 1)
    cancelled, other = (asyncio.create_task(live.read("id", None, 30)) for _ in range(2))
    await asyncio.sleep(0.01)
    cancelled.cancel()
    await live.append("id", [Delta(1, 1, 0, "a")])
    assert [entry.value for entry in await other] == [Delta(1, 1, 0, "a")]


async def test_append_wakes_only_the_readers_of_its_stream(live: MemoryLive, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    look = live._after

    def counted(generation_id: str, position: str | None, most: int) -> list[object]:
        looked.append(generation_id)
        return list(look(generation_id, position, most))

    monkeypatch.setattr(live, "_after", counted)
    one, other = (asyncio.create_task(live.read(name, None, 30)) for name in ("one", "other"))
    await asyncio.sleep(0.01)
    for name in ("one", "other"):
        await live.raise_fence(name, 1)
    await live.append("one", [Delta(1, 1, 0, "a")])
    assert len(await one) == 1
    other.cancel()
    await asyncio.wait([other])
    assert sorted(looked) == ["one", "one", "other"]


async def test_positions_grow_across_restarts(clock: ManualClock) -> None:
    before = MemoryLive(clock)
    await before.raise_fence("id", 1)
    await before.append("id", [Delta(1, 1, index, "a") for index in range(5)])
    position = (await before.read("id", None, 1))[-1].position
    clock.advance(1)
    after = MemoryLive(clock)
    await after.raise_fence("id", 2)
    await after.append("id", [Delta(2, 2, 0, "z")])
    assert [entry.value for entry in await after.read("id", position, 1)] == [Delta(2, 2, 0, "z")]


async def test_a_listener_that_does_not_read_misses_the_oldest(live: MemoryLive) -> None:
    async with live.listen() as listener:
        for index in range(BACKLOG + 5):
            await live.cancel(str(index))
        assert await anext(listener) == "5"
    assert not live._listeners

"""The bridge from the driver's callbacks to asyncio: bounded, cancellable, measured."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from cassandra import InvalidRequest
from cassandra.cluster import Session as Driver
from prometheus_client import REGISTRY

from parley_conversation.adapters.cassandra import session as bridge
from parley_conversation.adapters.cassandra.queries import DELETE_PLACE, GET_BUCKETS, GET_PAGE, GET_PLACE
from parley_conversation.adapters.cassandra.session import Session, prepare
from parley_conversation.ports import ChatLog
from parley_kit.errors import Unavailable
from parley_kit.ids import new_id

SECONDS = "parley_conversation_cassandra_query_seconds_count"
FAILURES = "parley_conversation_cassandra_query_failures_total"


class CountingSession(Session):
    """Counts what is on its way to the server."""

    now, most = 0, 0

    async def _ask(self, *arguments: Any) -> list[bridge.Row]:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await super()._ask(*arguments)
        finally:
            self.now -= 1


@pytest.fixture
def session(driver: Driver, chat_log: ChatLog, keyspace: str) -> CountingSession:
    return CountingSession(driver, prepare(driver, keyspace))


async def test_what_is_in_flight_is_bounded(session: CountingSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others wait for their turn, and all are answered."""
    monkeypatch.setattr(session, "_room", asyncio.Semaphore(10))
    answers = await asyncio.gather(*(session.run(GET_PLACE, new_id()) for _ in range(100)))
    assert answers == [[]] * 100
    assert session.most == 10


async def test_waiting_for_a_turn_ends_in_time(session: CountingSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind others that get no answer."""
    monkeypatch.setattr(session, "_room", asyncio.Semaphore(0))
    monkeypatch.setattr(bridge, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(Unavailable):
        await session.run(GET_PLACE, new_id())


async def test_an_answer_that_nobody_waits_for_is_dropped(session: CountingSession) -> None:
    """Cancelled in flight; nothing is logged as lost, and the place in flight is free again."""
    lost: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
    given_up = [asyncio.create_task(session.run(GET_PLACE, new_id())) for _ in range(50)]
    await asyncio.sleep(0)
    assert session.now == 50
    for task in given_up:
        task.cancel()
    await asyncio.wait(given_up)
    async with asyncio.timeout(20):
        while session.now:  # the server answers in any order
            await session.run(GET_PLACE, new_id())
    assert lost == []


async def test_queries_are_measured_by_name(session: CountingSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of each; failures by the error behind them."""
    before = REGISTRY.get_sample_value(SECONDS, {"query": "get_buckets"}) or 0
    await session.run(GET_BUCKETS, new_id(), 9, 1)
    assert REGISTRY.get_sample_value(SECONDS, {"query": "get_buckets"}) == before + 1
    labels = {"query": "get_buckets", "error": "TimeoutError"}
    failed = REGISTRY.get_sample_value(FAILURES, labels) or 0
    monkeypatch.setattr(session, "_room", asyncio.Semaphore(0))
    monkeypatch.setattr(bridge, "PATIENCE_SECONDS", 0.05)
    with pytest.raises(Unavailable):
        await session.run(GET_BUCKETS, new_id(), 9, 1)
    assert REGISTRY.get_sample_value(FAILURES, labels) == failed + 1


async def test_a_bug_is_no_absence(session: CountingSession) -> None:
    """What the server refuses as wrong is raised as it is."""
    with pytest.raises(InvalidRequest):
        await session.run(DELETE_PLACE, "")
    with pytest.raises((TypeError, ValueError)):
        await session.run(GET_PAGE, "too few")

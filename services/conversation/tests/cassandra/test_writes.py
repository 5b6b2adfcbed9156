"""What the layout and the mirrored clock are for: the first write, the fence of a deletion, cheap pages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from cassandra.cluster import Session as Driver

from parley_conversation.adapters.cassandra import CassandraChatLog, MirroredClock, deletion
from parley_conversation.adapters.cassandra.codec import MIRROR_US
from parley_conversation.adapters.cassandra.queries import QUERIES, Query
from parley_conversation.adapters.cassandra.session import BATCH, Row, Session, prepare
from parley_conversation.ports import ChatLog
from parley_conversation.testing.harness import message
from parley_kit.ids import new_id

NOW_US = 1_800_000_000_000_000
SECONDS = 20
"""For a look behind the adapter, on a machine that does other things too."""
TABLES = ("messages", "buckets", "places", "children")


class CountingSession(Session):
    """Tells what was asked. The request with the number `cut` gets no answer: `hanging` is set instead."""

    asked: list[str]
    cut = 0
    hanging: asyncio.Event

    async def _ask(self, query: Query, statement: Any) -> list[Row]:
        self.asked.append(query.name)
        if len(self.asked) == self.cut:
            self.hanging.set()
            await asyncio.Event().wait()
        return await super()._ask(query, statement)


@pytest.fixture
def session(driver: Driver, chat_log: ChatLog, keyspace: str) -> CountingSession:
    """On a keyspace that `chat_log` has made ready."""
    session = CountingSession(driver, prepare(driver, keyspace))
    session.asked, session.hanging = [], asyncio.Event()
    return session


def test_write_times_fall_and_stay_below_every_deletion() -> None:
    """Also within a microsecond, and when the clock is set back."""
    readings: Iterator[int] = iter([NOW_US, NOW_US, NOW_US - 5_000_000, NOW_US + 9])
    clock = MirroredClock(lambda: next(readings))
    times = [clock.next() for _ in range(4)]
    assert times == sorted(set(times), reverse=True)
    assert max(times) < MIRROR_US < NOW_US


async def test_a_row_is_never_made_of_two_writes(session: CountingSession) -> None:
    """The second sets what the first leaves out; the row stays the first's, whole."""
    log = CassandraChatLog(session, MirroredClock())
    first = message(new_id(), 1)
    second = replace(first, generation_id=new_id(), model="other", finish_reason="stop", prompt_tokens=1, parent_id="x")
    await log.append(first)
    await log.append(second)
    assert await log.get(first.conversation_id, [1]) == [first]


async def test_the_first_by_the_clock_stays_though_it_arrives_last(session: CountingSession) -> None:
    """Two processes: the one that was held up had begun earlier."""
    early, late = (CassandraChatLog(session, MirroredClock(lambda at=at: at)) for at in (NOW_US, NOW_US + 1))  # type: ignore[misc]
    first = message(new_id(), 1, "first")
    await late.append(replace(first, content="second"))
    await early.append(first)
    assert await late.get(first.conversation_id, [1]) == [first]


@pytest.mark.parametrize("seq", [1, 4_999, 5_000, 5_001])
async def test_what_arrives_after_the_deletion_is_gone(chat_log: ChatLog, seq: int) -> None:
    """An append that was on its way, in the buckets in use and in the one after them. Nothing of it is found."""
    conversation_id = new_id()
    known, late = message(conversation_id, 2), message(conversation_id, seq, parent_seq=2)
    await chat_log.append(known)
    await chat_log.delete(conversation_id)
    await chat_log.append(late)
    assert await chat_log.before(conversation_id, None, 10) == []
    assert await chat_log.get(conversation_id, [seq]) == []
    assert await chat_log.locate([late.id]) == []
    assert await chat_log.siblings(conversation_id, [None, 2]) == {None: [], 2: []}


async def test_a_deletion_leaves_no_row_anywhere(chat_log: ChatLog, driver: Driver, keyspace: str) -> None:
    """In none of the tables, over several buckets and branches."""
    conversation_id = new_id()
    made = [message(conversation_id, seq, parent_seq=seq - 1 or None) for seq in (1, 2, 4_999, 5_000, 5_001, 15_000)]
    await asyncio.gather(*map(chat_log.append, made))
    assert all(await asyncio.to_thread(_rows, driver, keyspace, conversation_id))
    await chat_log.delete(conversation_id)
    assert not any(await asyncio.to_thread(_rows, driver, keyspace, conversation_id))


async def test_a_deletion_that_was_cut_short_is_finished_by_the_next(
    chat_log: ChatLog, session: CountingSession, driver: Driver, keyspace: str
) -> None:
    """Cut at every request in turn; the buckets that are left are found again.

    The requests: what buckets there are; for each of six its ids, two partitions and its mark; for each of the three
    that hold a message its place and its row; the marks.
    """
    requests = 1 + 6 * 4 + 3 * 2 + 1
    for session.cut in range(1, requests + 1):
        conversation_id = new_id()
        made = [message(conversation_id, seq) for seq in (1, 5_000, 20_000)]
        await asyncio.gather(*map(chat_log.append, made))
        session.asked.clear()
        session.hanging.clear()
        deletion = asyncio.create_task(CassandraChatLog(session, MirroredClock()).delete(conversation_id))
        await session.hanging.wait()
        deletion.cancel()
        await asyncio.wait([deletion])
        await chat_log.delete(conversation_id)
        assert not any(await asyncio.to_thread(_rows, driver, keyspace, conversation_id))


async def test_a_deletion_with_little_time_gets_on(
    session: CountingSession, driver: Driver, keyspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt leaves less to the next, also within a bucket."""
    monkeypatch.setattr(deletion, "PORTION", 2 * BATCH)
    log, conversation_id = CassandraChatLog(session, MirroredClock()), new_id()
    await asyncio.gather(*(log.append(message(conversation_id, seq)) for seq in range(1, 6 * BATCH + 1)))
    left = [6 * BATCH]
    while left[-1]:
        session.asked.clear()
        session.hanging.clear()
        session.cut = 10  # after the buckets, the four of the one above, the ids, two batches and the end of a portion
        attempt = asyncio.create_task(log.delete(conversation_id))
        hanging = asyncio.create_task(session.hanging.wait())
        await asyncio.wait([attempt, hanging], return_when=asyncio.FIRST_COMPLETED)
        for task in (attempt, hanging):
            task.cancel()
        await asyncio.wait([attempt, hanging])
        left.append((await asyncio.to_thread(_rows, driver, keyspace, conversation_id))[0])
    assert left == [60, 40, 20, 0]


async def test_the_newest_page_of_a_long_chat_costs_one_round_trip(session: CountingSession) -> None:
    """Two questions side by side, however many buckets there are; a page further up costs one."""
    log = CassandraChatLog(session, MirroredClock())
    conversation_id = new_id()
    made = [message(conversation_id, seq) for bucket in range(40) for seq in (bucket * 5_000 + 1, bucket * 5_000 + 2)]
    await asyncio.gather(*map(log.append, made))
    session.asked.clear()
    assert await log.before(conversation_id, None, 2) == made[:-3:-1]
    assert sorted(session.asked) == ["get_buckets", "get_page"]
    session.asked.clear()
    assert await log.before(conversation_id, made[40].seq + 1, 1) == [made[40]]
    assert session.asked == ["get_page"]
    made.append(message(conversation_id, 40 * 5_000))
    await log.append(made[-1])
    session.asked.clear()
    assert await log.before(conversation_id, None, 1) == made[-1:]
    assert sorted(session.asked) == ["get_buckets", "get_page"]
    made.append(message(conversation_id, 40 * 5_000 + 1))
    await log.append(made[-1])
    session.asked.clear()
    assert await log.before(conversation_id, None, 2) == made[:-3:-1]
    assert sorted(session.asked) == ["get_buckets", "get_page"]


async def test_the_newest_page_right_behind_a_border_is_read_at_once(session: CountingSession) -> None:
    """From the last bucket and the one before side by side, also by a process that has just looked."""
    log, conversation_id = CassandraChatLog(session, MirroredClock()), new_id()
    made = [message(conversation_id, seq) for seq in range(9_990, 10_001)]
    await asyncio.gather(*map(log.append, made))
    for reader in (log, other := CassandraChatLog(session, MirroredClock()), other):
        session.asked.clear()
        assert await reader.before(conversation_id, None, 5) == made[:-6:-1]
    assert sorted(session.asked) == ["get_buckets", "get_page", "get_page"]


async def test_a_page_of_very_long_messages_is_shorter(chat_log: ChatLog) -> None:
    """And goes on from its end, so that nothing is left out. 200 such messages at once would take a node seconds."""
    conversation_id = new_id()
    made = [message(conversation_id, seq, "😀" * 100_000) for seq in range(1, 71)]
    for first in range(0, len(made), 10):
        await asyncio.gather(*map(chat_log.append, made[first : first + 10]))
    pages = [await chat_log.before(conversation_id, None, 200)]
    while pages[-1]:
        pages.append(await chat_log.before(conversation_id, pages[-1][-1].seq, 200))
    assert len(pages[0]) < 70
    assert [each.seq for page in pages for each in page] == [*range(70, 0, -1)]


async def test_a_bucket_that_another_process_began_is_found(session: CountingSession) -> None:
    """What a process remembers of a conversation is a hint only."""
    mine, others = (CassandraChatLog(session, MirroredClock()) for _ in range(2))
    conversation_id = new_id()
    made = [message(conversation_id, seq) for seq in (4_999, 5_000, 25_000)]
    await mine.append(made[0])
    assert await mine.before(conversation_id, None, 1) == [made[0]]
    await others.append(made[1])
    await others.append(made[2])
    assert await mine.before(conversation_id, None, 3) == made[::-1]


async def test_a_repeat_completes_an_append_that_was_cut_short(session: CountingSession) -> None:
    """Each of its writes may be the one that is missing."""
    for cut in ("put_message", "put_place", "put_child"):
        wanted = message(new_id(), 1)
        broken = CassandraChatLog(_Broken(session, cut), MirroredClock())  # type: ignore[arg-type]
        with pytest.raises(ConnectionError):
            await broken.append(wanted)
        log = CassandraChatLog(session, MirroredClock())
        await log.append(wanted)
        assert await log.before(wanted.conversation_id, None, 1) == [wanted]
        assert await log.locate([wanted.id]) == [wanted]
        assert await log.siblings(wanted.conversation_id, [None]) == {None: [wanted.id]}


async def test_an_answer_of_many_pages_is_whole(
    session: CountingSession, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More children and more messages than the driver fetches at once."""
    monkeypatch.setattr(driver, "default_fetch_size", 7)
    log, conversation_id = CassandraChatLog(session, MirroredClock()), new_id()
    made = [message(conversation_id, seq) for seq in range(1, 51)]
    await asyncio.gather(*map(log.append, made))
    assert await log.siblings(conversation_id, [None]) == {None: [each.id for each in made]}
    assert await log.before(conversation_id, None, 40) == made[:-41:-1]


def test_every_query_is_idempotent_and_reads_are_marked(driver: Driver, chat_log: ChatLog, keyspace: str) -> None:
    """No lightweight transaction among them; what reads may be asked of two replicas."""
    assert all(statement.is_idempotent for statement in prepare(driver, keyspace).values())
    assert {query for query in QUERIES if query.reads} == {query for query in QUERIES if "SELECT" in query.cql}
    assert not any("IF " in query.cql for query in QUERIES)


class _Broken:
    """A session that a process dies in, before the one request."""

    def __init__(self, session: Session, cut: str) -> None:
        self._session = session
        self._cut = cut

    async def run(self, query: Query, *values: object) -> list[tuple[object, ...]]:
        if query.name == self._cut:
            raise ConnectionError
        return await self._session.run(query, *values)


def _rows(driver: Driver, keyspace: str, conversation_id: str) -> list[int]:
    """How many rows each table has of the conversation."""
    query = "SELECT * FROM {}.{} WHERE conversation_id = %s ALLOW FILTERING"
    found = (driver.execute(query.format(keyspace, table), [conversation_id], timeout=SECONDS) for table in TABLES)
    return [len(list(rows)) for rows in found]

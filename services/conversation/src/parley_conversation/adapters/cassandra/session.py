"""Queries for asyncio: the driver's callbacks settle our futures; no thread waits for an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from cassandra.cluster import ResponseFuture
from cassandra.cluster import Session as Driver
from cassandra.query import BatchStatement, BatchType, PreparedStatement, Statement

from parley_conversation.adapters.cassandra import metrics
from parley_conversation.adapters.cassandra.connection import READS, WRITES, close
from parley_conversation.adapters.cassandra.errors import cassandra_errors
from parley_conversation.adapters.cassandra.queries import QUERIES, Query
from parley_kit.errors import Unavailable

Row = tuple[Any, ...]

MOST_IN_FLIGHT = 256
"""More wait here, where they can be given up: a connection out of stream ids would block the event loop."""
BATCH = 10
"""A node warns of more partitions than these in one batch."""
PATIENCE_SECONDS = 1.7
"""More than one request may take, less than the 2 s within which a caller is told."""


@asynccontextmanager
async def patience() -> AsyncIterator[None]:
    """Around all that one caller waits for. Raises Unavailable when it takes longer than PATIENCE_SECONDS."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield
    except TimeoutError as error:
        raise Unavailable("Cassandra does not answer in time") from error


class Session:
    """One for all the event loop's queries; used from that loop alone."""

    def __init__(self, driver: Driver, statements: Mapping[Query, PreparedStatement]) -> None:
        self._driver = driver
        self._statements = statements
        self._room = asyncio.Semaphore(MOST_IN_FLIGHT)

    async def close(self) -> None:
        """What is asked from then on is Unavailable."""
        await asyncio.to_thread(close, self._driver)

    async def run(self, query: Query, *values: object) -> list[Row]:
        """All rows of the answer, every page of it. Raises Unavailable."""
        return await self._measured(query, self._statements[query].bind(values))

    async def run_batch(self, query: Query, rows: Iterable[Sequence[object]]) -> None:
        """One request for some of a kind, each done or not for itself: not more than BATCH. Raises Unavailable."""
        batch = BatchStatement(BatchType.UNLOGGED)
        batch.is_idempotent = True
        for values in rows:
            batch.add(self._statements[query], values)
        await self._measured(query, batch)

    async def _measured(self, query: Query, statement: Statement) -> list[Row]:
        started = time.perf_counter()
        try:
            async with patience(), self._room:
                with cassandra_errors():
                    return await self._ask(query, statement)
        except Exception as error:
            metrics.QUERY_FAILURES.labels(query.name, type(error.__cause__ or error).__name__).inc()
            raise
        finally:
            metrics.QUERY_SECONDS.labels(query.name).observe(time.perf_counter() - started)

    async def _ask(self, query: Query, statement: Statement) -> list[Row]:
        response = self._driver.execute_async(statement, execution_profile=READS if query.reads else WRITES)
        return await _Answer(response).rows


class _Answer:
    """Collects the pages of one response. Its callbacks run in the reactor's thread, one after another."""

    def __init__(self, response: ResponseFuture) -> None:
        self._loop = asyncio.get_running_loop()
        self._response = response
        self._collected: list[Row] = []
        self.rows: asyncio.Future[list[Row]] = self._loop.create_future()
        response.add_callbacks(self._add, self._fail)

    def _add(self, page: list[Row] | None) -> None:
        self._collected += page or []
        if self._response.has_more_pages and not self.rows.cancelled():
            self._response.start_fetching_next_page()
        else:
            self._settle(None)

    def _fail(self, error: Exception) -> None:
        self._settle(error)

    def _settle(self, error: Exception | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._settle_in_loop, error)

    def _settle_in_loop(self, error: Exception | None) -> None:
        if self.rows.done():  # its waiter was cancelled
            return
        if error is None:
            self.rows.set_result(self._collected)
        else:
            self.rows.set_exception(error)


def prepare(driver: Driver, keyspace: str) -> Mapping[Query, PreparedStatement]:
    """Every query, prepared on the nodes. Blocks. Raises what the driver raises."""
    statements = {query: driver.prepare(query.cql.format(keyspace=keyspace)) for query in QUERIES}
    for statement in statements.values():
        statement.is_idempotent = True
    return statements

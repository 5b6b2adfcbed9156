"""The reader of an answer while stores and services are away, on a clock that the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from parley_gateway.answers.events import Event, Finished, Restarted, Text
from parley_gateway.answers.reader import AnswerReader
from parley_gateway.answers.source import AnswerSource
from parley_gateway.backends import Backends
from parley_gateway.caller import Caller
from parley_kit.clock import ManualClock
from parley_kit.context import Principal
from parley_kit.errors import DeadlineExceeded, ParleyError, Unauthenticated, Unavailable
from parley_live.base import Entry
from parley_live.memory import MemoryLive
from parley_proto.conversation.v1 import types_pb2

STORED = types_pb2.Generation(
    id="g", state=types_pb2.GENERATION_STATE_COMPLETED, attempt=1, began_attempt=1, message_id="m"
)
RUNNING = types_pb2.Generation(id="g", state=types_pb2.GENERATION_STATE_RUNNING, attempt=1)


class Source(AnswerSource):
    """Raises each of `failures` before it tells of the finished generation, and each of `lapses` before its message."""

    failures: list[ParleyError]
    lapses: list[ParleyError]

    async def generation(self, generation_id: str) -> types_pb2.Generation:
        if self.failures:
            raise self.failures.pop(0)
        return STORED

    async def message(self, message_id: str) -> types_pb2.Message:
        if self.lapses:
            raise self.lapses.pop(0)
        return types_pb2.Message(id="m", content="stored")


class LostStreams(MemoryLive):
    async def read(self, generation_id: str, position: str | None, timeout: float, most: int = 256) -> Sequence[Entry]:
        raise Unavailable("the store is away")


def source(failures: Sequence[ParleyError] = (), lapses: Sequence[ParleyError] = ()) -> Source:
    async def verify(_token: str) -> Principal:
        raise Unauthenticated("nobody asks")

    made = Source(Backends(None, None, None), Caller(None, "", verify))  # type: ignore[arg-type] # never called
    object.__setattr__(made, "failures", list(failures))
    object.__setattr__(made, "lapses", list(lapses))
    return made


async def turn(clock: ManualClock, reading: asyncio.Task[list[Event]], seconds: int) -> None:
    for _ in range(seconds):
        for _ in range(5):
            await asyncio.sleep(0)
        if reading.done():
            return
        clock.advance(1)


async def collect(reader: AnswerReader) -> list[Event]:
    return [event async for event in reader.read(RUNNING, 0, None)]


async def test_a_store_that_is_away_delays_the_answer_and_does_not_lose_it() -> None:
    clock = ManualClock()
    reading = asyncio.create_task(collect(AnswerReader(source(), LostStreams(clock), clock)))
    await turn(clock, reading, 5)
    text, finished = await reading
    assert text == Text(0, "stored", 1)
    assert isinstance(finished, Finished)


@pytest.mark.parametrize("error", [Unavailable("away"), DeadlineExceeded("hangs")], ids=["away", "hanging"])
@pytest.mark.parametrize("asked", [source, lambda away: source(lapses=away)], ids=["state", "message"])
@pytest.mark.parametrize(("failures", "ends"), [(20, True), (60, False)])
async def test_the_owner_is_waited_for_within_reason(
    failures: int, ends: bool, asked: Callable[[list[ParleyError]], Source], error: ParleyError
) -> None:
    clock = ManualClock()
    reading = asyncio.create_task(collect(AnswerReader(asked([error] * failures), LostStreams(clock), clock)))
    await turn(clock, reading, 100)
    if ends:
        assert isinstance((await reading)[-1], Finished)
    else:
        with pytest.raises(type(error)):
            await reading


async def test_a_token_is_watched_until_it_is_no_longer_good() -> None:
    clock = ManualClock()
    live = MemoryLive(clock)
    expires = clock.now().timestamp() + 5

    async def verify(_token: str) -> Principal:
        return Principal("user", "session", expires)

    watch = asyncio.create_task(Caller("Bearer x", "", verify).until_invalid(clock, live.is_revoked))
    for _ in range(4):
        await asyncio.sleep(0)
        clock.advance(1)
    assert not watch.done()
    for _ in range(3):
        await asyncio.sleep(0)
        clock.advance(1)
    assert "expired" in await watch


async def test_a_revocation_list_that_is_away_ends_nothing() -> None:
    clock = ManualClock()
    answers: list[ParleyError | bool] = [Unavailable("away"), Unavailable("away"), True]

    async def is_revoked(_session: str) -> bool:
        answer = answers.pop(0)
        if isinstance(answer, ParleyError):
            raise answer
        return answer

    async def verify(_token: str) -> Principal:
        return Principal("user", "session", clock.now().timestamp() + 600)

    watch = asyncio.create_task(Caller("Bearer x", "", verify).until_invalid(clock, is_revoked))
    for _ in range(3):
        await asyncio.sleep(0)
        clock.advance(2)
    assert await watch == "the session has ended"
    assert answers == []


async def test_a_reader_of_what_was_lost_and_never_stored_is_told() -> None:
    """Redis lost the stream, and the answer was stopped before anybody began it anew."""
    ended = types_pb2.Generation(id="g", state=types_pb2.GENERATION_STATE_CANCELLED, attempt=2)
    clock = ManualClock()
    reader = AnswerReader(source(), MemoryLive(clock), clock)
    assert [event async for event in reader.read(ended, 4, 1)] == [Restarted(2), Finished(ended, None)]
    assert [event async for event in reader.read(ended, 0, None)] == [Finished(ended, None)]

"""Who waits for a reply is given up after a time, each by itself, on one timer for all."""

from __future__ import annotations

import asyncio
import weakref

import pytest

from parley_kit.errors import Unavailable
from parley_live.redis.commands import Commands
from parley_live.redis.connector import Connector
from parley_live.redis.patience import Patience

SHORT, LONG = 0.05, 60.0


def reply() -> asyncio.Future[object]:
    return asyncio.get_running_loop().create_future()


async def test_what_is_not_answered_is_given_up() -> None:
    """Each with an error of its own: raised, it would keep the frames of all who got it."""
    patience, replies = Patience(SHORT), [reply(), reply()]
    for each in replies:
        patience.limit(each)
    async with asyncio.timeout(LONG):
        told = await asyncio.gather(*replies)
    assert [type(error) for error in told] == [TimeoutError, TimeoutError]
    assert told[0] is not told[1]


async def test_what_is_asked_later_is_given_up_too_and_not_before_its_time() -> None:
    patience, loop = Patience(SHORT), asyncio.get_running_loop()
    first, answered = reply(), reply()
    patience.limit(first)
    patience.limit(answered)
    answered.set_result("answer")
    async with asyncio.timeout(LONG):
        await first
        later, asked = reply(), loop.time()
        patience.limit(later)
        await later
    assert loop.time() - asked >= SHORT - 0.01  # of the clock's grain
    assert answered.result() == "answer"


async def test_an_answer_in_time_leaves_the_others_their_time() -> None:
    patience = Patience(SHORT)
    first, second = reply(), reply()
    patience.limit(first)
    patience.limit(second)
    first.set_result("answer")
    async with asyncio.timeout(LONG):
        assert isinstance(await second, TimeoutError)


async def test_who_gave_up_waiting_is_not_told() -> None:
    patience, left, last = Patience(SHORT), reply(), reply()
    patience.limit(left)
    patience.limit(last)
    left.cancel()
    async with asyncio.timeout(LONG):
        await last
    assert left.cancelled()


async def test_what_was_answered_is_let_go_with_the_next_question() -> None:
    patience, answered = Patience(LONG), reply()
    gone = weakref.ref(answered)
    patience.limit(answered)
    answered.set_result("a long answer")
    patience.limit(reply())
    del answered
    assert gone() is None


async def test_a_command_that_no_lane_takes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when all lanes wait for replies, or when nothing runs any more."""
    monkeypatch.setattr("parley_live.redis.commands.PATIENCE_SECONDS", SHORT)
    commands = Commands(Connector("redis://127.0.0.1:1/0"))
    async with asyncio.timeout(LONG):
        with pytest.raises(Unavailable, match="TimeoutError"):
            await commands.execute("ping", "PING")

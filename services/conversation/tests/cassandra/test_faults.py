"""Cassandra killed, paused and away: nothing acknowledged is lost, callers are told in time, nobody has to help."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest

from parley_conversation.adapters.cassandra import open_chat_log
from parley_conversation.domain.conversation import Message
from parley_conversation.ports import ChatLog
from parley_conversation.settings import ConversationSettings
from parley_conversation.testing.harness import message
from parley_kit.errors import Unavailable
from parley_kit.ids import new_id
from parley_local import servers
from parley_local.ports import Ports
from parley_local.testing import ServerProcess, run_server

TOLD_SECONDS = 2.0
RECOVERY_SECONDS = 15.0
LOOP_GAP_SECONDS = 0.5

pytestmark = pytest.mark.timeout(150)  # starts of a JVM on a busy machine


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One of our own, to be hurt."""
    folder = tmp_path_factory.mktemp("hurt")
    with run_server(servers.cassandra(folder, Ports()), folder / "log") as process:
        yield process


@pytest.fixture(scope="module")
def starter() -> Iterator[Executor]:
    """The thread that starts it again. A server ends with the thread that started it, so this one stays."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
def settings(server: ServerProcess) -> ConversationSettings:
    return ConversationSettings.load(service_token="x" * 32, cassandra_hosts=server.address)


@pytest.fixture
async def chat_log(settings: ConversationSettings) -> AsyncIterator[ChatLog]:
    async with open_chat_log(settings) as log:
        yield log


async def test_a_kill_loses_nothing_acknowledged(server: ServerProcess, starter: Executor, chat_log: ChatLog) -> None:
    """SIGKILL under appends. Each caller is told within 2 s; once the server is back, every message is there once."""
    writers = [_Writer(chat_log) for _ in range(4)]
    tasks = [asyncio.create_task(writer.run()) for writer in writers]
    await asyncio.gather(*(writer.written(20) for writer in writers))
    server.kill()
    await _each_call_is_unavailable(chat_log)
    await asyncio.get_running_loop().run_in_executor(starter, server.start)
    async with asyncio.timeout(RECOVERY_SECONDS):
        await asyncio.gather(*(writer.written(len(writer.acknowledged) + 5) for writer in writers))
    for writer in writers:
        writer.stopped = True
    await asyncio.gather(*tasks)
    for writer in writers:
        assert writer.slowest < TOLD_SECONDS
        assert await _all_of(chat_log, writer.conversation_id) == writer.acknowledged
        last = writer.acknowledged[-1]
        assert await chat_log.locate([last.id]) == [last]
        siblings = await chat_log.siblings(writer.conversation_id, [None])
        assert siblings[None] == [each.id for each in writer.acknowledged]


@pytest.mark.parametrize("seconds", [0.0, 6.0])
async def test_a_pause_is_told_in_time_and_ends_by_itself(
    server: ServerProcess, chat_log: ChatLog, seconds: float
) -> None:
    """SIGSTOP: connections stay open and nothing is answered; shorter and longer than the heartbeat's patience.

    The event loop goes on turning meanwhile.
    """
    wanted = message(new_id(), 1)
    await chat_log.append(wanted)
    turning = asyncio.create_task(_longest_gap())
    server.pause()
    try:
        await _each_call_is_unavailable(chat_log)
        await asyncio.sleep(seconds)
        await _each_call_is_unavailable(chat_log)
    finally:
        server.resume()
    async with asyncio.timeout(RECOVERY_SECONDS):
        await _until_answered(lambda: chat_log.get(wanted.conversation_id, [1]))
    assert await chat_log.get(wanted.conversation_id, [1]) == [wanted]
    turning.cancel()
    assert await turning < LOOP_GAP_SECONDS


async def test_a_server_that_comes_late_is_waited_for(
    server: ServerProcess, starter: Executor, settings: ConversationSettings
) -> None:
    """The opening goes on by itself once the server answers."""
    server.kill()
    opening = open_chat_log(settings)
    entering = asyncio.create_task(opening.__aenter__())
    await asyncio.wait([entering], timeout=1)
    assert not entering.done()
    await asyncio.get_running_loop().run_in_executor(starter, server.start)
    log = await asyncio.wait_for(entering, RECOVERY_SECONDS)
    assert await log.before(new_id(), None, 1) == []
    await opening.__aexit__(None, None, None)


async def test_what_is_closed_is_unavailable(settings: ConversationSettings) -> None:
    """A call after the end neither hangs nor answers."""
    async with open_chat_log(settings) as log:
        pass
    await _each_call_is_unavailable(log)


class _Writer:
    """Appends one message after another, each until it is acknowledged."""

    def __init__(self, chat_log: ChatLog) -> None:
        self.conversation_id = new_id()
        self.acknowledged: list[Message] = []
        self.stopped = False
        self.slowest = 0.0
        self._chat_log = chat_log
        self._changed = asyncio.Condition()

    async def run(self) -> None:
        while not self.stopped:
            owed = message(self.conversation_id, len(self.acknowledged) + 1)
            await _until_answered(lambda owed=owed: self._append(owed))  # type: ignore[misc]
            async with self._changed:
                self.acknowledged.append(owed)
                self._changed.notify_all()

    async def written(self, count: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.acknowledged) >= count)

    async def _append(self, owed: Message) -> None:
        started = time.monotonic()
        try:
            await self._chat_log.append(owed)
        finally:
            self.slowest = max(self.slowest, time.monotonic() - started)


async def _each_call_is_unavailable(chat_log: ChatLog) -> None:
    """All methods of the port, side by side, within 2 s."""
    conversation_id = new_id()
    calls: dict[str, Awaitable[object]] = {
        "append": chat_log.append(message(conversation_id, 1)),
        "before": chat_log.before(conversation_id, None, 10),
        "get": chat_log.get(conversation_id, [1]),
        "locate": chat_log.locate([new_id()]),
        "siblings": chat_log.siblings(conversation_id, [None]),
        "delete": chat_log.delete(conversation_id),
    }
    started = time.monotonic()
    outcomes = await asyncio.gather(*calls.values(), return_exceptions=True)
    assert time.monotonic() - started < TOLD_SECONDS
    assert {name: type(outcome) for name, outcome in zip(calls, outcomes, strict=True)} == dict.fromkeys(
        calls, Unavailable
    )


async def _until_answered(call: Callable[[], Awaitable[object]]) -> None:
    while True:
        try:
            await call()
        except Unavailable:
            await asyncio.sleep(0.05)
        else:
            return


async def _longest_gap() -> float:
    """Until cancelled: the longest time that the event loop did not come round to us."""
    longest, last = 0.0, time.monotonic()
    try:
        while True:
            await asyncio.sleep(0.005)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
    except asyncio.CancelledError:
        return longest


async def _all_of(chat_log: ChatLog, conversation_id: str) -> list[Message]:
    return list(await chat_log.before(conversation_id, None, 10_000))[::-1]

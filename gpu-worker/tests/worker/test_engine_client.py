"""The client against an engine that says what a test wants, in a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from parley_kit.errors import DeadlineExceeded, Internal, ParleyError, Unavailable
from parley_worker.backends.torch import Checkpoint, TorchBackend
from parley_worker.config import EngineConfig
from parley_worker.core import ChatMessage, FinishReason, Job, SamplingParams
from parley_worker.engine.client import EngineClient
from parley_worker.engine.errors import DeadlinePassed, EngineDied, NonFiniteScores, RequestError
from parley_worker.engine.inbox import Inbox
from parley_worker.engine.messages import Ran
from parley_worker.engine.process import EngineProcess
from parley_worker.scheduler.request import Fault, Output, Request
from parley_worker.settings import BUNDLED_MODEL
from parley_worker.testing.sampling import GREEDY

ENGINE = """
import socket, sys
from parley_worker.core import FinishReason
from parley_worker.engine.channel import Channel
from parley_worker.engine.messages import Abort, Add, Ran, Ready
from parley_worker.scheduler.request import Fault, Output

channel = Channel(socket.socket(fileno=int(sys.argv[1])))
channel.send(Ready(4, 100))
users, watcher = {}, None
while True:
    for command in channel.receive(wait=True):
        if isinstance(command, Add):
            users[command.request.id] = command.request.user
        match command:
            case Add(request) if request.user == "watcher":
                watcher = request.id
            case Add(request) if request.user == "hangs":
                channel.send(Ran([Output(request.id, 1)], 0.25))
            case Add(request) if request.user == "unheard":
                pass
            case Add(request) if request.user == "babbles":
                channel._socket.sendall((1).to_bytes(4, "big") + b"?")
            case Add(request) if request.user == "answer":
                channel.send(Ran([Output(request.id, 1, cached_tokens=16), Output(request.id, 2)], 0.25))
                channel.send(Ran([Output("other", 9), Output(request.id, 3, FinishReason.STOP)], 0.25))
            case Add(request):
                fault = Fault.DEADLINE if request.deadline == 12.5 and request.user == "sarah" else Fault.NOT_FINITE
                channel.send(Ran([Output(request.id, 1), Output(request.id, None, error=fault)], 0.25))
            case Abort(id):
                channel.send(Ran([Output(watcher, len(users[id]), FinishReason.STOP)], 0.25))
            case _:
                sys.exit()
"""
CONFIG = EngineConfig(BUNDLED_MODEL)


async def spawn(config: EngineConfig) -> EngineProcess:
    ours, theirs = socket.socketpair()
    with theirs:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ENGINE, str(theirs.fileno()), pass_fds=[theirs.fileno()]
        )
    return EngineProcess(process, *await asyncio.open_unix_connection(sock=ours))


class Watch:
    """An observer."""

    def __init__(self) -> None:
        self.steps: list[Ran] = []
        self.dead = asyncio.Event()

    def ran(self, step: Ran) -> None:
        self.steps.append(step)

    def died(self) -> None:
        self.dead.set()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
async def client(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EngineClient]:
    monkeypatch.setattr(EngineProcess, "spawn", spawn)
    async with EngineClient(CONFIG, observer=watch, restart_delay=0.01) as client:
        yield client


def request(user: str, deadline: float | None = None) -> Request:
    """What it is answered is up to its user."""
    return Request((5,), 0, 10, frozenset(), GREEDY, user, deadline)


async def collect(client: EngineClient, asked: Request) -> list[Output]:
    return [output async for outputs in client.generate(asked) for output in outputs]


async def test_tokens_come_in_order_to_whom_they_belong(client: EngineClient, watch: Watch) -> None:
    assert (client.capacity, client.window) == (4, 100)
    answer = await collect(client, request("answer"))
    assert [output.token_id for output in answer] == [1, 2, 3]
    assert [output.finish_reason for output in answer] == [None, None, FinishReason.STOP]
    assert answer[0].cached_tokens == 16
    assert [(len(step.outputs), step.seconds) for step in watch.steps] == [(2, 0.25), (2, 0.25)]


async def test_those_who_ask_the_same_get_their_own_answers(client: EngineClient) -> None:
    async with asyncio.timeout(20), aclosing(client.generate(request("answer"))) as first:
        begun = await anext(first)
        answers = await asyncio.gather(*(collect(client, request("answer")) for _ in range(3)))
        rest = [output for outputs in [begun, *[outputs async for outputs in first]] for output in outputs]
    assert [[output.token_id for output in answer] for answer in (rest, *answers)] == [[1, 2, 3]] * 4


async def test_what_came_while_nobody_read_comes_at_once(client: EngineClient) -> None:
    async with aclosing(client.generate(request("answer"))) as answer:
        first = await anext(answer)
        await asyncio.gather(collect(client, request("fault")), return_exceptions=True)  # the engine is past it
        assert len(first) >= 2
        assert len(first) == 3 or [output.token_id for output in await anext(answer)] == [3]


@pytest.mark.parametrize(
    ("asked", "error", "fault"),
    [
        (request("fault"), NonFiniteScores, Fault.NOT_FINITE),
        (request("sarah", 12.5), DeadlinePassed, Fault.DEADLINE),
    ],
)
async def test_a_fault_comes_after_the_tokens_before_it(
    client: EngineClient, asked: Request, error: type[RequestError], fault: Fault
) -> None:
    async with aclosing(client.generate(asked)) as answer:
        assert [output.token_id for output in await anext(answer)] == [1]
        with pytest.raises(error) as caught:
            await anext(answer)
    assert caught.value.fault is fault
    assert len(await collect(client, request("answer"))) == 3


async def test_closing_the_iterator_aborts_and_only_then(client: EngineClient) -> None:
    watcher = asyncio.create_task(collect(client, request("watcher")))
    await collect(client, request("answer"))
    async with aclosing(client.generate(request("hangs"))) as answer:
        await anext(answer)
    assert [output.token_id for output in await watcher] == [len("hangs")]


async def test_the_death_of_the_engine_is_told_to_all(client: EngineClient, watch: Watch) -> None:
    async with aclosing(client.generate(request("hangs"))) as answer:
        await anext(answer)
        pid = client.pid
        assert pid
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(EngineDied):
            await anext(answer)
    await asyncio.wait_for(watch.dead.wait(), 10)
    await asyncio.wait_for(client.wait_ready(), 20)
    assert len(await collect(client, request("answer"))) == 3


async def test_an_engine_that_is_not_understood_is_given_up_and_replaced(client: EngineClient) -> None:
    async with asyncio.timeout(20):
        with pytest.raises(EngineDied):
            await collect(client, request("babbles"))
        await client.wait_ready()
        assert len(await collect(client, request("answer"))) == 3


async def test_an_engine_that_has_work_and_says_nothing_is_ended(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EngineProcess, "spawn", spawn)
    async with asyncio.timeout(20), EngineClient(CONFIG, restart_delay=0.01, longest_silence=0.05) as client:
        await asyncio.sleep(0.2)  # without work it may be silent
        pid = client.pid
        with pytest.raises(EngineDied):
            await collect(client, request("unheard"))
        await client.wait_ready()
        assert client.pid != pid


async def test_nobody_waits_for_ever_for_an_engine_that_does_not_start_again(
    client: EngineClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(config: EngineConfig) -> EngineProcess:
        raise OSError

    monkeypatch.setattr(EngineProcess, "spawn", fail)
    client._config = replace(CONFIG, start_timeout=0.05)
    backend = TorchBackend(Checkpoint.read(CONFIG), client, "small")
    async with asyncio.timeout(20):
        with pytest.raises(EngineDied):
            await collect(client, request("babbles"))
        for _ in range(2):
            with pytest.raises(Unavailable):
                await backend.wait_ready()
        monkeypatch.setattr(EngineProcess, "spawn", spawn)
        client._config = CONFIG
        await backend.wait_ready()


async def test_an_observer_that_fails_leaves_no_request_without_an_end(
    client: EngineClient, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(step: Ran) -> None:
        raise RuntimeError

    async with asyncio.timeout(20):
        with monkeypatch.context() as patch:
            patch.setattr(watch, "ran", fail)
            with pytest.raises(EngineDied):
                await collect(client, request("hangs"))
        await client.wait_ready()
        assert len(await collect(client, request("answer"))) == 3


async def test_a_request_that_cannot_be_said_leaves_nothing_behind(client: EngineClient) -> None:
    with pytest.raises(OverflowError):
        await collect(client, replace(request("answer"), max_tokens=10**30))
    assert not client._inboxes
    assert len(await collect(client, request("answer"))) == 3


async def test_what_a_step_made_of_an_answer_is_one_chunk(client: EngineClient) -> None:
    """However many tokens that is: with it goes one write to the stream."""
    backend = TorchBackend(Checkpoint.read(CONFIG), client, "small")
    job = Job("job", (ChatMessage("user", "hello"),), SamplingParams(ignore_eos=True), user="answer")
    made = [chunk.token_ids async for chunk in backend.generate(job)]
    assert made in ([(1, 2), (3,)], [(1, 2, 3)])  # the second where its step had come too before anybody read


@pytest.mark.parametrize(("user", "error"), [("sarah", DeadlineExceeded), ("", Internal)])
async def test_a_job_brings_its_user_and_deadline_and_learns_what_went_wrong(
    client: EngineClient, user: str, error: type[ParleyError]
) -> None:
    backend = TorchBackend(Checkpoint.read(CONFIG), client, "small")
    job = Job("job", (ChatMessage("user", "hello"),), user=user, deadline=12.5)
    with pytest.raises(error):
        [chunk async for chunk in backend.generate(job)]


async def test_what_was_lost_before_anybody_waited_is_told_too() -> None:
    inbox = Inbox()
    inbox.put(Output("1", 5))
    inbox.lose()
    async with asyncio.timeout(5):
        assert [output.token_id for output in await inbox.take()] == [5]
        assert await inbox.take() == []

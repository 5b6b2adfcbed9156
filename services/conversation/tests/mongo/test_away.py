"""MongoDB killed, paused, back again: quick refusals, nothing acknowledged lost, recovery without a hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from parley_conversation.adapters.mongo import Documents, open_documents
from parley_conversation.domain.generation import Generation
from parley_conversation.ports import ConversationChanges, ConversationQuery, ServedModel
from parley_conversation.testing.harness import after, conversation, generation, message, outcome
from parley_kit.errors import Unavailable
from parley_kit.ids import new_id
from parley_local import servers
from parley_local.ports import Ports
from parley_local.testing import ServerProcess, run_server

pytestmark = pytest.mark.timeout(150)

PROMISED_SECONDS = 2.0
CROWD = 40


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with run_server(servers.mongodb(tmp_path, Ports()), tmp_path / "mongodb.log") as process:
        yield process


@pytest.fixture
async def documents(server: ServerProcess) -> AsyncIterator[Documents]:
    async with open_documents(server.address, "conversation") as documents:
        yield documents


CALLS: dict[str, Callable[[Documents], Awaitable[object]]] = {
    "conversations.insert": lambda it: it.conversations.insert(conversation()),
    "conversations.get": lambda it: it.conversations.get("x"),
    "conversations.get_many": lambda it: it.conversations.get_many(["x"]),
    "conversations.find": lambda it: it.conversations.find(ConversationQuery("x", False, 10)),
    "conversations.search": lambda it: it.conversations.find(ConversationQuery("x", False, 10, search="a b-c d")),
    "conversations.update": lambda it: it.conversations.update("x", ConversationChanges(title="x"), after(1)),
    "conversations.reserve": lambda it: it.conversations.reserve("x", 2, after(1)),
    "conversations.delete": lambda it: it.conversations.delete("x"),
    "conversations.purgeable": lambda it: it.conversations.purgeable(10),
    "conversations.purged": lambda it: it.conversations.purged("x"),
    "conversations.entitle": lambda it: it.conversations.entitle("x", "title"),
    "conversations.index": lambda it: it.conversations.index(message("x", 1)),
    "generations.insert": lambda it: it.generations.insert(generation()),
    "generations.find_request": lambda it: it.generations.find_request("x", "x"),
    "generations.get": lambda it: it.generations.get("x"),
    "generations.get_many": lambda it: it.generations.get_many(["x"]),
    "generations.claim": lambda it: it.generations.claim("x", "worker", after(1), after(7)),
    "generations.renew": lambda it: it.generations.renew("worker", {"x": 1}, after(7)),
    "generations.requeue": lambda it: it.generations.requeue("x", 1, after(1)),
    "generations.request_again": lambda it: it.generations.request_again("x", after(1)),
    "generations.request_cancel": lambda it: it.generations.request_cancel("x", after(1)),
    "generations.finish": lambda it: it.generations.finish("x", 1, outcome()),
    "generations.fence": lambda it: it.generations.fence("x", 1),
    "generations.settle": lambda it: it.generations.settle("x", ["y"]),
    "generations.active": lambda it: it.generations.active("x"),
    "generations.overdue": lambda it: it.generations.overdue(after(1), after(1), after(1), 10),
    "generations.indebted": lambda it: it.generations.indebted(after(1), 10),
    "generations.unsettled": lambda it: it.generations.unsettled("x"),
    "generations.delete_of": lambda it: it.generations.delete_of("x"),
    "models.announce": lambda it: it.models.announce(ServedModel("tiny", 100, after(1))),
    "models.served": lambda it: it.models.served(),
}


async def refusals(calls: dict[str, Awaitable[object]]) -> None:
    """All of these at once end as Unavailable, each within the promised time."""
    slow: dict[str, float] = {}
    wrong: dict[str, object] = {}

    async def refused(name: str, call: Awaitable[object]) -> None:
        started = time.monotonic()
        try:
            wrong[name] = await call
        except Unavailable:
            pass
        except Exception as error:  # noqa: BLE001 - told below, with the others
            wrong[name] = error
        if (took := time.monotonic() - started) >= PROMISED_SECONDS:
            slow[name] = took

    await asyncio.gather(*(refused(name, call) for name, call in calls.items()))
    assert not wrong
    assert not slow


async def until_it_answers(documents: Documents) -> None:
    while True:
        try:
            await documents.generations.get("x")
        except Unavailable:
            continue
        return


@pytest.mark.parametrize("fault", ["kill", "pause"])
async def test_every_call_is_unavailable_in_time_and_works_again(
    server: ServerProcess, documents: Documents, fault: str
) -> None:
    """Each method alone, then a crowd that is larger than any pool of threads, on connections that were in use."""
    made = await documents.generations.insert(generation())
    await asyncio.gather(*(documents.generations.get(made.id) for _ in range(CROWD)))
    getattr(server, fault)()
    await refusals({name: call(documents) for name, call in CALLS.items()})
    await refusals({str(n): documents.generations.get(made.id) for n in range(CROWD)})
    await asyncio.to_thread(server.resume if fault == "pause" else server.start)
    await until_it_answers(documents)
    assert await documents.generations.get(made.id) == made
    assert await documents.generations.claim(made.id, "worker", after(1), after(7)) is not None


async def test_what_was_acknowledged_survives_kills(server: ServerProcess, documents: Documents) -> None:
    """Sends of four writers through two SIGKILLs: each that returned is there, and none is there twice."""
    chat = conversation()
    await documents.conversations.insert(chat)
    acknowledged: list[Generation] = []
    seqs: list[int] = []
    stop, progress = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            request = generation(chat.id, request_id=new_id())
            while not stop.is_set():
                try:
                    seq = await documents.conversations.reserve(chat.id, 2, after(1))
                    acknowledged.append(await documents.generations.insert(request))
                except Unavailable:
                    continue
                assert seq is not None
                seqs.append(seq)
                progress.set()
                break

    async with asyncio.TaskGroup() as writers:
        for _ in range(4):
            writers.create_task(write())
        for _ in range(2):
            before = len(acknowledged)
            while len(acknowledged) < before + 25:
                progress.clear()
                await progress.wait()
            await asyncio.to_thread(server.restart)
        progress.clear()
        await progress.wait()
        stop.set()
    assert len(seqs) == len(set(seqs))
    stored = {it.id for it in await documents.generations.unsettled(chat.id)}
    assert {it.id for it in acknowledged} <= stored
    requests = {it.request_id for it in acknowledged}
    assert len(requests) == len(acknowledged)


async def test_the_start_waits_for_the_server(server: ServerProcess) -> None:
    server.kill()
    async with asyncio.TaskGroup() as group:
        opened: asyncio.Task[bool] = group.create_task(_opens(server.address))
        done, _ = await asyncio.wait([opened], timeout=2)
        assert not done
        await asyncio.to_thread(server.start)
    assert opened.result()


async def test_a_stop_ends_the_wait_for_the_server(server: ServerProcess) -> None:
    server.pause()
    opening = asyncio.create_task(_opens(server.address))
    await asyncio.wait([opening], timeout=1)
    opening.cancel()
    started = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert time.monotonic() - started < 1


async def test_closing_does_not_wait_for_a_server_that_hangs(server: ServerProcess) -> None:
    """It says good-bye to the server: a stop of the service is not held up by that, nor is the event loop."""
    async with asyncio.TaskGroup() as group:
        async with open_documents(server.address, "conversation") as documents:
            await documents.generations.get("x")
            server.pause()
            started = time.monotonic()
            turned = group.create_task(asyncio.sleep(0.1))
        assert time.monotonic() - started < PROMISED_SECONDS
        assert turned.done()


async def _opens(address: str) -> bool:
    async with open_documents(address, "conversation") as documents:
        return await documents.models.served() == []

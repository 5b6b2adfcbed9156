"""The life cycle as a state machine: any order of sends, claims, crashes, stops, late and repeated ends, lost time.

The model knows what was acknowledged and which end won. Invariants: an acknowledged message is stored once (R1);
a generation ends once, for good, within its deadline (R2); an attempt that lost its lease changes nothing (R4); the
answer is stored once, exactly when there is text.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from pymongo import MongoClient

from parley_conversation.adapters.mongo import open_documents
from parley_conversation.adapters.sqlite import open_stores
from parley_conversation.domain.generation import MAX_ATTEMPTS, Failure, FinishReason, Generation, State
from parley_conversation.domain.outcome import Ending, failed
from parley_conversation.handlers.leases import ATTEMPTS_USED_UP
from parley_conversation.ports import Stores
from parley_kit.clock import ManualClock
from parley_kit.errors import Unavailable
from parley_kit.ids import new_id
from parley_live import Delta, Fenced

WORKERS = ("worker-1", "worker-2")
MOST = 3


class Crash(BaseException):
    """The process died at this point: nothing that would have followed happens."""


@dataclass
class Fault:
    """What the port calls go through: the one `left` calls from now fails, before or after it took effect."""

    left: int = -1
    late: bool = False
    kind: type[BaseException] = Unavailable


class Port:
    def __init__(self, port: Any, fault: Fault) -> None:
        self._port = port
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if name in ("listen", "subscribe"):
            return method

        async def call(*arguments: Any, **options: Any) -> Any:
            due = self._fault.left == 0
            self._fault.left -= 1
            if due and not self._fault.late:
                raise self._fault.kind("injected")
            result = await method(*arguments, **options)
            if due:
                raise self._fault.kind("injected")
            return result

        return call


@dataclass
class Held:
    """A lease as its worker sees it, and the text as it would go on."""

    worker: str
    generation: Generation
    attempt: int
    began: int
    text: str


@dataclass
class Known:
    """What the model expects."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    requests: dict[str, str] = field(default_factory=dict)
    generations: dict[str, Generation] = field(default_factory=dict)
    ended: dict[str, Generation] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


class LifeCycle(RuleBasedStateMachine):
    def __init__(self, open_world: Any, folder: Path) -> None:
        super().__init__()
        self.open_world = open_world
        self.folder = folder
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.clock = ManualClock()
        self.fault = Fault()
        self.known = Known()
        self.held: list[Held] = []
        self.ends: list[tuple[str, int, Ending]] = []
        self.world: Any = None

    @initialize()
    def start(self) -> None:
        self.runner.run(self._open())
        self.conversation = self.runner.run(self.world.conversation())

    async def _open(self) -> None:
        owner = self.world.owner if self.world else None
        world = self.open_world(
            self.folder, wrap=lambda port: Port(port, self.fault), clock=self.clock, max_active_per_user=64
        )
        self.world = await self.stack.enter_async_context(world)
        self.world.owner = owner or self.world.owner

    @property
    def open(self) -> list[Generation]:
        """The generations that have not ended: what happens to these matters most."""
        return [it for it in self.known.generations.values() if it.id not in self.known.ended]

    def run(self, work: Any) -> Any:
        """What the work returns, or None when an injected fault or crash cut it short."""
        try:
            return self.runner.run(work)
        except Unavailable:
            return None
        except Crash:
            self.restart()
            return None
        finally:
            self.fault.left = -1
            self.runner.run(self._observe())

    @rule(data=st.data())
    def step(self, data: Any) -> None:
        """One rule, so that hypothesis leaves none of the actions out; each is as likely as it is often named."""
        known, held, ends = self.known.generations, self.held, self.ends
        actions = [self.sweep, self.heartbeat]
        actions += [self.send] * (4 if len(self.open) < MOST else 0)
        actions += [self.claim] * (6 if self.open else 0)
        actions += [self.stop] if known else []
        actions += [self.stream] * 4 + [self.end] * 4 + [self.usurp] * 4 + [self.kill, self.release] if held else []
        actions += [self.deliver] * (4 if ends else 0)
        actions += [self.inject] * 2
        actions += [self.restart] if self.known.ended else []
        data.draw(st.sampled_from(actions), label="action")(data)

    def inject(self, data: Any) -> None:
        """The next step fails at its `left`th port call."""
        self.fault.left = data.draw(st.integers(0, 12))
        self.fault.late = data.draw(st.booleans())
        self.fault.kind = data.draw(st.sampled_from([Unavailable, Crash]))

    def send(self, data: Any) -> None:
        request = data.draw(st.sampled_from([None, "a", "b"]))
        content = data.draw(st.sampled_from(["Hi", "Why?", " x "]))
        sent = self.run(self.world.send(self.conversation.id, content, request_id=request))
        if sent is None:
            return
        message = sent.user_message.message
        if request is not None:
            assert self.known.requests.setdefault(request, message.id) == message.id
        assert self.known.acknowledged.setdefault(message.id, message.content) == message.content
        self.known.generations[sent.generation.id] = sent.generation

    def claim(self, data: Any) -> None:
        generation = data.draw(st.sampled_from(self.open or list(self.known.generations.values())))
        self._claim(generation, data.draw(st.sampled_from(WORKERS)))

    def usurp(self, data: Any) -> None:
        """A worker is paused past its lease, another one takes over, and the first one comes back."""
        held = data.draw(st.sampled_from(self.held))
        self.clock.advance(7)
        self.run(self.world.service.sweep.tick())
        self._claim(held.generation, data.draw(st.sampled_from(WORKERS)))

    def _claim(self, generation: Generation, worker: str) -> None:
        lease = self.run(self.world.service.leases.claim(generation.id, worker))
        if lease is None:
            return
        try:
            deltas = self.runner.run(self.world.live.raise_fence(generation.id, lease.attempt)) or []
        except Fenced:
            return
        text = "".join(delta.text for delta in deltas)
        began = deltas[-1].began if deltas else lease.attempt
        self.held.append(Held(worker, generation, lease.attempt, began, text))

    def stream(self, data: Any) -> None:
        """A worker writes on, whether or not its lease still holds: the fence decides."""
        held = data.draw(st.sampled_from(self.held))
        delta = Delta(held.attempt, held.began, len(held.text), f"{held.attempt} ")
        try:
            self.runner.run(self.world.live.append(held.generation.id, [delta]))
        except Fenced:
            self.held.remove(held)
        else:
            held.text += delta.text

    def end(self, data: Any) -> None:
        """The worker publishes its end; when it arrives, and how often, is another matter."""
        held = data.draw(st.sampled_from(self.held))
        how = data.draw(st.sampled_from(["completed", "completed", "failed", "late", "cancelled"]))
        self.held.remove(held)
        ending = {
            "completed": Ending(State.COMPLETED, held.text, held.began, FinishReason.STOP),
            "cancelled": Ending(State.CANCELLED, held.text, held.began, FinishReason.CANCELLED),
            "failed": failed(Failure("INTERNAL", "x"), held.text, held.began),
            "late": failed(Failure("DEADLINE_EXCEEDED", "x"), held.text, held.began),
        }[how]
        self.ends.append((held.generation.id, held.attempt, ending))

    def deliver(self, data: Any) -> None:
        """In any order, and perhaps once more later. The compare-and-set is what the attempt is for."""
        told = data.draw(st.sampled_from(self.ends))
        generation_id, attempt, ending = told
        if not data.draw(st.booleans()):
            self.ends.remove(told)
        before = self.runner.run(self.world.stored(generation_id))
        faulty = self.fault.left >= 0
        applied = self.run(self.world.service.endings.apply(generation_id, attempt, ending))
        if not faulty:
            assert applied == (before.attempt == attempt and not before.state.terminal)
        if applied:
            self.known.texts[generation_id] = ending.text

    def heartbeat(self, data: Any) -> None:
        worker = data.draw(st.sampled_from(WORKERS))
        mine = {held.generation.id: held.attempt for held in self.held if held.worker == worker}
        pulse = self.run(self.world.service.leases.heartbeat(worker, "tiny", 100, mine))
        if pulse is not None:
            self.held = [it for it in self.held if it.worker != worker or it.generation.id not in pulse.lost]

    def kill(self, data: Any) -> None:
        worker = data.draw(st.sampled_from(WORKERS))
        self.held = [held for held in self.held if held.worker != worker]

    def release(self, data: Any) -> None:
        held = data.draw(st.sampled_from(self.held))
        self.held.remove(held)
        shutting_down = data.draw(st.booleans())
        before = self.runner.run(self.world.stored(held.generation.id))
        faulty = self.fault.left >= 0
        self.run(self.world.service.leases.release({held.generation.id: held.attempt}, shutting_down))
        after = self.runner.run(self.world.stored(held.generation.id))
        if not faulty:
            given = before.state is State.RUNNING and before.attempt == held.attempt
            assert after.handed_back - before.handed_back == int(given and shutting_down)

    def stop(self, data: Any) -> None:
        generation_id = data.draw(st.sampled_from(self.open or list(self.known.generations.values()))).id
        self.run(self.world.service.handlers.generations.stop(self.world.owner, generation_id))

    def sweep(self, data: Any) -> None:
        self.clock.advance(data.draw(st.sampled_from([0, 2, 4, 7, 7, 7, 7, 7, 7, 601])))
        self.run(self.world.service.sweep.tick())

    def restart(self, data: Any = None) -> None:
        """kill -9 of the service, the bus and the streams; workers and what they published may come back late."""
        self.runner.run(self.stack.aclose())
        self.runner.run(self._open())

    async def _observe(self) -> None:
        """After each step: terminal is for good, and what is shown as finished is stored."""
        for generation_id in self.known.generations:
            now = await self.world.stored(generation_id)
            ended = self.known.ended.get(generation_id)
            if now.failure is not None and now.failure == ATTEMPTS_USED_UP:
                assert now.attempt - now.handed_back > MAX_ATTEMPTS, "three failed, then the fence of the end"
            if ended is not None:
                assert _end_of(now) == _end_of(ended)
            elif now.state.terminal:
                self.known.ended[generation_id] = now

    async def _check_all(self) -> None:
        stores = self.world.stores
        log = await stores.chat_log.before(self.conversation.id, None, 10_000)
        for message_id, content in self.known.acknowledged.items():
            assert [row.content for row in log if row.id == message_id] == [content]
        for generation_id in self.known.generations:
            generation = await self.world.stored(generation_id)
            assert generation.state.terminal, "R2: every generation ends within its deadline and a sweep"
            assert not generation.outbox
            answers = [row for row in log if row.generation_id == generation_id]
            assert len(answers) == int(generation.answer_stored)
            if generation_id in self.known.texts:
                assert "".join(answer.content for answer in answers) == self.known.texts[generation_id]
            entries = await self.world.live.read(generation_id, None, 0, 10_000)
            streamed = "".join(entry.value.text for entry in entries if isinstance(entry.value, Delta))
            assert all(answer.content.startswith(streamed) for answer in answers)

    def teardown(self) -> None:
        try:
            if self.world is not None:
                self.fault.left = -1
                for seconds in (601, 3, 3):
                    self.clock.advance(seconds)
                    self.runner.run(self.world.service.sweep.tick())
                self.runner.run(self._observe())
                self.runner.run(self._check_all())
        finally:
            self.runner.run(self.stack.aclose())
            self.runner.close()


def _end_of(generation: Generation) -> tuple[Any, ...]:
    return generation.state, generation.attempt, generation.finish_reason, generation.finished_at, generation.failure


@pytest.mark.timeout(180)
def test_life_cycle(open_world: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    run(lambda: LifeCycle(open_world, tmp_path_factory.mktemp("world")), examples=40, steps=50)


@pytest.mark.timeout(180)
def test_life_cycle_in_mongodb(open_world: Any, mongo_url: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Shorter, as each step waits for a real server; the chat log stays in SQLite."""
    session = new_id()

    @asynccontextmanager
    async def stores_in(folder: Path) -> AsyncIterator[Stores]:
        async with (
            open_documents(mongo_url, f"{session}-{folder.name}") as documents,
            open_stores(folder / "conversation.sqlite3") as local,
        ):
            yield Stores(documents.conversations, documents.generations, local.chat_log, documents.models)

    opener = partial(open_world, stores_in=stores_in)
    try:
        run(lambda: LifeCycle(opener, tmp_path_factory.mktemp("world")), examples=10, steps=40)
    finally:
        with MongoClient[dict[str, Any]](mongo_url) as client:
            for name in client.list_database_names():
                if name.startswith(session):
                    client.drop_database(name)


def run(life_cycle: Callable[[], LifeCycle], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        life_cycle,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=[Phase.reuse, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )

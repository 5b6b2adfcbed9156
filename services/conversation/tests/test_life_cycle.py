"""The life cycle as a state machine: any order of sends, claims, crashes, stops, late and repeated ends, lost time.

The model knows what was acknowledged and which end won. Invariants: an acknowledged message is stored once (R1);
a generation ends once, for good, within its deadline (R2); an attempt that lost its lease changes nothing (R4); the
answer is stored once, exactly when there is text.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from parley_conversation.domain.generation import Failure, FinishReason, Generation, State
from parley_conversation.domain.outcome import Ending, failed
from parley_kit.clock import ManualClock
from parley_kit.errors import Unavailable
from parley_live import Delta, Fenced

WORKERS = ("worker-1", "worker-2")


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

    @rule(left=st.integers(0, 12), late=st.booleans(), kind=st.sampled_from([Unavailable, Crash]))
    def inject(self, left: int, late: bool, kind: type[BaseException]) -> None:
        """The next step fails at its `left`th port call."""
        self.fault.left, self.fault.late, self.fault.kind = left, late, kind

    @rule(request=st.sampled_from([None, "a", "b", "c"]), content=st.sampled_from(["Hi", "Why?", " x "]))
    def send(self, request: str | None, content: str) -> None:
        sent = self.run(self.world.send(self.conversation.id, content, request_id=request))
        if sent is None:
            return
        message = sent.user_message.message
        if request is not None:
            assert self.known.requests.setdefault(request, message.id) == message.id
        assert self.known.acknowledged.setdefault(message.id, message.content) == message.content
        self.known.generations[sent.generation.id] = sent.generation

    @precondition(lambda self: self.known.generations)
    @rule(data=st.data(), worker=st.sampled_from(WORKERS))
    def claim(self, data: Any, worker: str) -> None:
        generation = data.draw(st.sampled_from(list(self.known.generations.values())))
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

    @precondition(lambda self: self.held)
    @rule(data=st.data())
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

    @precondition(lambda self: self.held)
    @rule(data=st.data(), how=st.sampled_from(["completed", "failed", "late", "cancelled"]))
    def end(self, data: Any, how: str) -> None:
        """The worker publishes its end; when it arrives, and how often, is another matter."""
        held = data.draw(st.sampled_from(self.held))
        self.held.remove(held)
        ending = {
            "completed": Ending(State.COMPLETED, held.text, held.began, FinishReason.STOP),
            "cancelled": Ending(State.CANCELLED, held.text, held.began, FinishReason.CANCELLED),
            "failed": failed(Failure("INTERNAL", "x"), held.text, held.began),
            "late": failed(Failure("DEADLINE_EXCEEDED", "x"), held.text, held.began),
        }[how]
        self.ends.append((held.generation.id, held.attempt, ending))

    @precondition(lambda self: self.ends)
    @rule(data=st.data(), again=st.booleans())
    def deliver(self, data: Any, again: bool) -> None:
        """In any order, and perhaps once more later. The compare-and-set is what the attempt is for."""
        told = data.draw(st.sampled_from(self.ends))
        generation_id, attempt, ending = told
        if not again:
            self.ends.remove(told)
        before = self.runner.run(self.world.stored(generation_id))
        faulty = self.fault.left >= 0
        applied = self.run(self.world.service.endings.apply(generation_id, attempt, ending))
        if not faulty:
            assert applied == (before.attempt == attempt and not before.state.terminal)
        if applied:
            self.known.texts[generation_id] = ending.text

    @rule(worker=st.sampled_from(WORKERS))
    def heartbeat(self, worker: str) -> None:
        mine = {held.generation.id: held.attempt for held in self.held if held.worker == worker}
        pulse = self.run(self.world.service.leases.heartbeat(worker, "tiny", 100, mine))
        if pulse is not None:
            self.held = [it for it in self.held if it.worker != worker or it.generation.id not in pulse.lost]

    @rule(worker=st.sampled_from(WORKERS))
    def kill(self, worker: str) -> None:
        self.held = [held for held in self.held if held.worker != worker]

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: Any) -> None:
        held = data.draw(st.sampled_from(self.held))
        self.held.remove(held)
        self.run(self.world.service.leases.release({held.generation.id: held.attempt}))

    @precondition(lambda self: self.known.generations)
    @rule(data=st.data())
    def stop(self, data: Any) -> None:
        generation_id = data.draw(st.sampled_from(list(self.known.generations)))
        self.run(self.world.service.handlers.generations.stop(self.world.owner, generation_id))

    @rule(seconds=st.sampled_from([0.5, 2, 4, 7, 60, 601]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def sweep(self) -> None:
        self.run(self.world.service.sweep.tick())

    @rule()
    def restart(self) -> None:
        """kill -9 of everything: the bus and the streams are gone, the workers with them."""
        self.runner.run(self.stack.aclose())
        self.held.clear()
        self.ends.clear()
        self.runner.run(self._open())

    async def _observe(self) -> None:
        """After each step: terminal is for good, and what is shown as finished is stored."""
        for generation_id in self.known.generations:
            now = await self.world.stored(generation_id)
            ended = self.known.ended.get(generation_id)
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
    run_state_machine_as_test(
        lambda: LifeCycle(open_world, tmp_path_factory.mktemp("world")),
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

"""Requests of any kind, at any time, in too few blocks: every answer is right, and everybody gets his."""

from __future__ import annotations

from collections import deque
from itertools import cycle
from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from parley_worker.core import FinishReason
from parley_worker.scheduler.batch import BLOCK_SIZE
from parley_worker.scheduler.request import Drawn, Fault, Output, Request, Sampling
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.scheduler.step import Step
from parley_worker.testing.block_model import VOCABULARY, BlockModel, answer

BASES = (tuple(n * n % 7 % VOCABULARY for n in range(64)), tuple(n * n % 11 % VOCABULARY for n in range(64)))
STOP = 0


class Asked(NamedTuple):
    """What a request is made of."""

    base: int
    shared: int
    own: list[int]
    answered: int
    max_tokens: int
    stops: bool
    penalty: float
    user: str
    patience: float | None


ASKED = st.builds(
    Asked,
    base=st.integers(0, 1),
    shared=st.integers(0, 56),
    own=st.lists(st.integers(0, VOCABULARY - 1), max_size=5),
    answered=st.integers(0, 3),
    max_tokens=st.integers(1, 40),
    stops=st.sampled_from([False, False, False, True]),
    penalty=st.sampled_from([1.0, 1.0, 1.0, 1.5]),
    user=st.sampled_from("abc"),
    patience=st.sampled_from([None, None, None, None, 2.0, 8.0]),
)


class Guesser:
    """Drafts that are right now and then."""

    streams = 3

    def __init__(self) -> None:
        self.proposed = self.accepted = 0

    def propose(self, tokens: list[int], limit: int) -> list[int]:
        return [(tokens[-1] + step) % VOCABULARY for step in range(min(limit, len(tokens) % 5))]

    def observe(self, proposed: int, accepted: int) -> None:
        assert 0 <= accepted <= proposed
        self.proposed += proposed
        self.accepted += accepted


class SchedulerMachine(RuleBasedStateMachine):
    @initialize(
        blocks=st.integers(4, 9),
        capacity=st.integers(1, 6),
        step_tokens=st.integers(1, 60),
        share=st.integers(0, 3),
        mode=st.sampled_from(("plain", "drafts", "lookahead", "rounds", "drafts and rounds")),
    )
    def start(self, blocks: int, capacity: int, step_tokens: int, share: int, mode: str) -> None:
        self.blocks, self.capacity, self.step_tokens = blocks, capacity, step_tokens
        self.window = min(64, blocks * BLOCK_SIZE)
        lookahead = mode == "lookahead"
        self.depth = 2 if lookahead else 1
        self.scheduler = Scheduler(
            *(blocks, capacity, self.window, step_tokens),
            lookahead=lookahead,
            share=share > 0,
            proposer=Guesser() if "drafts" in mode else None,
            rounds=4 if "rounds" in mode else 1,
        )
        self.model = BlockModel(blocks)
        self.flight: deque[tuple[Step, list[Drawn | None]]] = deque()
        self.expected: dict[str, list[int]] = {}
        self.requests: dict[str, Request] = {}
        self.failing: set[str] = set()
        self.now, self.made, self.fuel = 0.0, 0, 0

    @rule(asked=st.lists(ASKED, min_size=1, max_size=4))
    def add(self, asked: list[Asked]) -> None:
        for each in asked:
            self._add(each)

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), seconds=st.floats(0.5, 5.0))
    def disturb(self, data: st.DataObject, seconds: float) -> None:
        """A request is aborted, or its next scores are not finite, or time goes by."""
        name = data.draw(st.sampled_from(sorted(self.requests)))
        what = data.draw(st.sampled_from(("abort", "fail", "wait")))
        if what == "abort":
            self._forget(name)
            self.scheduler.abort(name)
        elif what == "fail":
            self.failing.add(name)
        else:
            self.now += seconds

    @precondition(lambda self: len(self.flight) < self.depth)
    @rule(rounds=st.integers(1, 4))
    def launch(self, rounds: int) -> None:
        """A runner may stop short of the rounds that a step may have."""
        step = self.scheduler.schedule(self.now)
        self.now += 0.1
        decoding = sum(segment.length == 1 for segment in step.segments)
        assert len(step.segments) <= self.capacity
        assert step.rows <= max(self.step_tokens, decoding + min(self.step_tokens, BLOCK_SIZE))
        assert step.segments or self.depth == 2 or not self.requests or self._only_expired()
        self.flight.append((step, self._spoil(step, self.model.run(step, min(rounds, step.rounds)))))

    @precondition(lambda self: self.flight)
    @rule()
    def settle(self) -> None:
        step, drawn = self.flight.popleft()
        for output in self.scheduler.update(step, drawn):
            self._check(output)

    @rule(steps=st.integers(1, 12), rounds=st.integers(1, 4))
    def go_on(self, steps: int, rounds: int) -> None:
        for _ in range(steps):
            if self.requests or self.flight:
                self._turn(rounds)

    @invariant()
    def books_are_right(self) -> None:
        if hasattr(self, "scheduler"):
            self.scheduler.check_integrity()

    def teardown(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        steps = 0
        while not self.scheduler.idle or self.flight:
            self._turn()
            steps += 1
            assert steps < self.fuel + 10, "somebody starves"
        assert not self.requests, "somebody got no answer"
        self.scheduler.check_integrity()

    def _add(self, asked: Asked) -> None:
        tokens = (BASES[asked.base][: asked.shared] + tuple(asked.own) or (1,))[: self.window - 1]
        answered = min(asked.answered, len(tokens) - 1)
        request = Request(
            id=str(self.made),
            token_ids=tokens,
            answered=answered,
            max_tokens=answered + asked.max_tokens,
            stop_ids=frozenset({STOP} if asked.stops else ()),
            sampling=Sampling(1.0, 0, 1.0, asked.penalty, seed=self.made % 2),
            user=asked.user,
            deadline=None if asked.patience is None else self.now + asked.patience,
        )
        self.made += 1
        self.scheduler.add(request)
        self.requests[request.id] = request
        self.expected[request.id] = answer(request, min(asked.max_tokens, self.window - len(tokens)))
        # The oldest that runs is never sent away, so that each step of his is one less for good; who is older than all
        # that run may still come, for each of them once.
        self.fuel += 3 * self.window

    def _turn(self, rounds: int = 1) -> None:
        if self.requests and len(self.flight) < self.depth:
            self.launch(rounds)
        if len(self.flight) == self.depth or not self.requests:
            self.settle()

    def _spoil(self, step: Step, drawn: list[Drawn | None]) -> list[Drawn | None]:
        names = [segment.sequence.request.id for segment in step.segments for _ in range(segment.draws)]
        return [None if name in self.failing else token for name, token in zip(cycle(names), drawn, strict=False)]

    def _check(self, output: Output) -> None:
        request, expected = self.requests[output.id], self.expected[output.id]
        if output.error is not None:
            assert output.token_id is None
            late = request.deadline is not None and request.deadline <= self.now
            assert late if output.error == Fault.DEADLINE else output.id in self.failing
            self._forget(output.id)
            return
        token = expected.pop(0)
        assert output.token_id == token
        assert output.cached_tokens < len(request.token_ids)
        ends = FinishReason.LENGTH if not expected else None
        if token in request.stop_ids:
            ends = FinishReason.STOP
        assert output.finish_reason == ends
        if output.last:
            self._forget(output.id)

    def _only_expired(self) -> bool:
        return all(request.deadline is not None and request.deadline <= self.now for request in self.requests.values())

    def _forget(self, name: str) -> None:
        del self.requests[name], self.expected[name]
        self.failing.discard(name)


TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)

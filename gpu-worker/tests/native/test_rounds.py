"""Steps in rounds give the tokens of single steps, and end when they are to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from parley_worker.engine.runner import StepRunner
from parley_worker.native import abi, runner
from parley_worker.native.executor import NativeExecutor
from parley_worker.native.runner import NativeRunner
from parley_worker.native.sampler import NativeSampler
from parley_worker.scheduler.assembly import list_rows
from parley_worker.scheduler.request import Fault, Output, Request, Sampling
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.testing.checkpoints import all_cases, write_checkpoint
from parley_worker.testing.native import open_executor, poison
from parley_worker.testing.sampling import GREEDY, PLAIN
from parley_worker.testing.stepping import STOP, advance, request

CAPACITY = 5  # so that the draws of a step are shared by threads
HOURS = 1e4


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> NativeExecutor:
    return open_executor(write_checkpoint(tmp_path_factory.mktemp("model")), 40, int8=False, threads=2)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step goes on for as long as it may, however slow the machine is."""
    monkeypatch.setattr(runner, "_SECONDS", HOURS)


def open_runner(executor: NativeExecutor, commands: int | None = None) -> NativeRunner:
    return NativeRunner(executor, NativeSampler(executor.pool, executor.config.vocab_size), commands)


def answers(runner: StepRunner, executor: NativeExecutor, requests: list[Request], rounds: int) -> dict[str, list[int]]:
    """The tokens of each request; blocks hold nothing that was not computed for it."""
    poison(executor)
    scheduler = Scheduler(executor.blocks, CAPACITY, executor.config.window, step_tokens=64, rounds=rounds)
    told = dict[str, list[int]]()
    for each in requests:
        scheduler.add(each)
    while not scheduler.idle:
        for output in go_on(runner, scheduler):
            assert output.token_id is not None
            told.setdefault(output.id, []).append(output.token_id)
    return told


def go_on(runner: StepRunner, scheduler: Scheduler) -> list[Output]:
    step = scheduler.schedule(0.0)
    return scheduler.update(step, runner.launch(step).read())


def started(runner: StepRunner, executor: NativeExecutor, *lengths: int) -> Scheduler:
    """A scheduler whose requests have drawn one token."""
    poison(executor)
    scheduler = Scheduler(executor.blocks, CAPACITY, executor.config.window, step_tokens=64, rounds=4)
    for name, length in zip("abcde", lengths, strict=False):
        scheduler.add(request(name, (5, 6, 7, ord(name)), length))
    go_on(runner, scheduler)
    return scheduler


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    "sampling", [GREEDY, PLAIN, replace(PLAIN, top_k=5, seed=3), replace(PLAIN, presence_penalty=1)]
)
def test_the_tokens_are_those_of_single_steps(executor: NativeExecutor, sampling: Sampling) -> None:
    requests = [
        request(name, tuple(range(9, 9 + length)), 20 + length, sampling=replace(sampling, seed=length))
        for name, length in zip("abcde", (1, 15, 17, 33, 40), strict=True)
    ]
    runner = open_runner(executor)
    assert answers(runner, executor, requests, rounds=4) == answers(runner, executor, requests, rounds=1)


@pytest.mark.usefixtures("patient")
def test_a_step_has_as_many_rounds_as_it_may(executor: NativeExecutor) -> None:
    runner = open_runner(executor)
    scheduler = started(runner, executor, 20, 20)
    assert len(go_on(runner, scheduler)) == 2 * runner.rounds == 8


def test_no_round_is_begun_that_would_take_too_long(executor: NativeExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_SECONDS", 1e-9)
    hurried = open_runner(executor)
    assert len(go_on(hurried, started(hurried, executor, 20, 20))) == 2


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.mark.usefixtures("patient")
def test_no_round_is_begun_once_a_command_has_come(executor: NativeExecutor, pipe: tuple[int, int]) -> None:
    reads, writes = pipe
    runner = open_runner(executor, commands=reads)
    scheduler = started(runner, executor, 20, 20)
    assert len(go_on(runner, scheduler)) == 8
    os.write(writes, b"!")
    assert len(go_on(runner, scheduler)) == 2


@pytest.mark.usefixtures("patient")
def test_a_stop_token_of_anybody_is_the_end_of_the_rounds(executor: NativeExecutor) -> None:
    runner, prompts = open_runner(executor), {"a": (5, 6, 7), "b": (8, 9)}
    free = [request(name, prompt, 9, sampling=PLAIN) for name, prompt in prompts.items()]
    stop = answers(runner, executor, free, rounds=1)["a"][2]
    ends = [replace(each, stop_ids=frozenset({STOP, stop} if each.id == "a" else {STOP})) for each in free]
    scheduler = Scheduler(executor.blocks, CAPACITY, executor.config.window, step_tokens=64, rounds=4)
    for each in ends:
        scheduler.add(each)
    go_on(runner, scheduler)
    assert [output.id for output in go_on(runner, scheduler)] == ["a", "a", "b", "b"]
    assert [output.id for output in go_on(runner, scheduler)] == ["b"] * 4


@pytest.mark.usefixtures("patient")
def test_scores_that_are_not_finite_are_the_end_of_the_rounds(executor: NativeExecutor) -> None:
    runner = open_runner(executor)
    scheduler = started(runner, executor, 20, 20)
    step = scheduler.schedule(0.0)
    executor.cache.fill(step.segments[0].sequence.blocks[0], 0xFF)
    outputs = scheduler.update(step, runner.launch(step).read())
    assert [(output.id, output.error) for output in outputs] == [("a", Fault.NOT_FINITE), ("b", None)]


def test_a_step_with_a_prompt_is_not_repeated(executor: NativeExecutor) -> None:
    scheduler = Scheduler(executor.blocks, 4, 64, step_tokens=64)
    scheduler.add(request("a", (5, 6), 9))
    advance(scheduler, 3)
    scheduler.add(request("b", (9,) * 20, 9))
    step, sampler = scheduler.schedule(0.0), NativeSampler(executor.pool, executor.config.vocab_size)
    with pytest.raises(ValueError, match="is not repeated"):
        executor.generate(
            *(list_rows(step), step.tables, sampler.native, sampler.describe(step.draws, 2)),
            abi.Rounds(2, HOURS, -1, 0, 0),
        )


def test_draws_that_are_not_those_of_the_rounds_are_refused(executor: NativeExecutor) -> None:
    scheduler = started(open_runner(executor), executor, 20, 20)
    step, sampler = scheduler.schedule(0.0), NativeSampler(executor.pool, executor.config.vocab_size)
    with pytest.raises(ValueError, match="2 draws for 2 rounds of 2"):
        executor.generate(
            *(list_rows(step), step.tables, sampler.native, sampler.describe(step.draws)),
            abi.Rounds(2, HOURS, -1, 0, 0),
        )


def test_a_model_whose_angles_grow_with_a_sequence_takes_single_steps(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model", **all_cases()["rope: dynamic"])
    assert open_runner(open_executor(folder, 10, int8=False)).rounds == 1

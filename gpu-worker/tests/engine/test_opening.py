"""What an engine comes to on a machine: blocks, threads, tokens of a step."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from torch import Tensor

from parley_worker.config import EngineConfig, ExecutorKind
from parley_worker.engine import calibration, startup
from parley_worker.engine.calibration import choose_step_tokens, choose_threads
from parley_worker.engine.errors import EngineConfigError
from parley_worker.engine.machine import count_physical_cores
from parley_worker.engine.opening import open_engine
from parley_worker.models.config import read_model_config
from parley_worker.native import runner
from parley_worker.native.library import Pool
from parley_worker.scheduler.batch import BLOCK_SIZE, Batch
from parley_worker.testing.stepping import request

KINDS = [ExecutorKind.NATIVE, ExecutorKind.TORCH]


class PacedExecutor:
    """Takes as long as a test says: seconds(threads, rows)."""

    blocks, invariant, looks_ahead = 100, True, False

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int, int], float]) -> None:
        self.threads, self._seconds, self._now = 1, seconds, 0.0
        monkeypatch.setattr(calibration.time, "perf_counter", lambda: self._now)

    def set_threads(self, threads: int) -> None:
        self.threads = threads

    def execute(self, batch: Batch) -> Tensor:
        self._now += self._seconds(self.threads, len(batch.tokens))
        return torch.zeros(len(batch.draws), 4)


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_and_window_are_what_the_bytes_hold(checkpoint: Path, kind: ExecutorKind) -> None:
    model = read_model_config(checkpoint)
    block = BLOCK_SIZE * model.kv_bytes_per_token(4)

    def opened(kv_bytes: int) -> tuple[int, int]:
        engine = open_engine(EngineConfig(checkpoint, capacity=4, kv_bytes=kv_bytes, threads=1, executor=kind))
        return engine.capacity, engine.window

    assert opened(1000 * block) == (4, model.window)
    assert opened(4 * block - 1) == (3, 3 * BLOCK_SIZE)
    with pytest.raises(EngineConfigError, match="kv_bytes"):
        opened(block - 1)


def test_threads_are_added_while_each_doubling_wins_a_quarter(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = PacedExecutor(monkeypatch, lambda threads, rows: 0.1 / min(threads, 4))
    assert choose_threads(executor, executor.set_threads, 12) == executor.threads == 4
    assert choose_threads(executor, executor.set_threads, 3) == executor.threads == 3
    assert choose_threads(executor, executor.set_threads, 1) == executor.threads == 1


def test_a_step_that_is_short_enough_stays_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = PacedExecutor(monkeypatch, lambda threads, rows: 0.001 / threads)
    assert choose_threads(executor, executor.set_threads, 12) == executor.threads == 1


def test_threads_that_the_system_does_not_have_are_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = PacedExecutor(monkeypatch, lambda threads, rows: 0.1 / threads)

    def set_threads(threads: int) -> None:
        executor.set_threads(min(threads, 2))
        if threads > 2:
            raise OSError("the system has no more than 2 threads for the engine")

    assert choose_threads(executor, set_threads, 12) == executor.threads == 2


def test_threads_that_were_asked_for_and_cannot_be_had_are_one_line(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resize(pool: Pool, threads: int) -> None:
        raise OSError("the system has no more than 2 threads for the engine")

    monkeypatch.setattr(Pool, "resize", resize)
    config = EngineConfig(checkpoint, kv_bytes=1 << 20, threads=3, executor=ExecutorKind.NATIVE)
    with pytest.raises(EngineConfigError, match="threads: the system has no more than 2"):
        open_engine(config)


@pytest.mark.parametrize(("a_token", "expected"), [(1e-3, 96), (1.0, 32), (1e-9, 8192)])
def test_a_step_takes_as_many_tokens_of_a_prompt_as_a_tenth_of_a_second_holds(
    monkeypatch: pytest.MonkeyPatch, a_token: float, expected: int
) -> None:
    executor = PacedExecutor(monkeypatch, lambda threads, rows: rows * a_token * 1.01)
    assert choose_step_tokens(executor, 1600) == expected


def test_physical_cores_are_at_most_those_that_the_process_may_use() -> None:
    assert 1 <= count_physical_cores() <= len(os.sched_getaffinity(0))


def test_a_native_engine_decodes_in_rounds_until_it_is_wanted(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_SECONDS", 1e4)
    config = EngineConfig(checkpoint, threads=1, executor=ExecutorKind.NATIVE, speculation=False)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        engine = open_engine(config, theirs.fileno())

        def go_on() -> int:
            step = engine.scheduler.schedule(0.0)
            return len(engine.scheduler.update(step, engine.runner.launch(step).read()))

        engine.scheduler.add(request("a", (5, 6, 7), 40))
        assert [go_on(), go_on()] == [1, 4]
        ours.send(b"!")
        assert go_on() == 1


def test_the_engine_is_wanted_when_its_socket_can_be_read(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = list[int | None]()

    def refuse(config: EngineConfig, commands: int | None = None) -> NoReturn:
        watched.append(commands)
        raise EngineConfigError("no")

    monkeypatch.setattr(startup, "open_engine", refuse)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        startup.serve(theirs, EngineConfig(checkpoint))
        assert watched == [theirs.fileno()]

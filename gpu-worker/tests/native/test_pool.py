"""The threads that compute a step together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from parley_worker.native.library import Library
from parley_worker.testing.products import Products

TASKS = Path("/proc/self/task")


@pytest.fixture
def products() -> Iterator[Products]:
    products = Products(Library(), threads=3)
    yield products
    products.pool.close()


def test_every_thread_works_once(products: Products) -> None:
    calls: list[tuple[int, int, int]] = []
    products.fork(lambda thread, threads: calls.append((thread, threads, threading.get_native_id())))
    assert sorted(call[:2] for call in calls) == [(0, 3), (1, 3), (2, 3)]
    assert len({native for _, _, native in calls}) == 3
    assert next(native for thread, _, native in calls if thread == 0) == threading.get_native_id()


def test_nobody_passes_a_barrier_before_all_have_come(products: Products) -> None:
    """More threads than cores, too: they sleep, and are woken."""
    steps: list[int] = []

    def work(thread: int, threads: int) -> None:
        for step in range(50):
            steps.append(step)
            products.barrier()

    products.fork(work)
    assert steps == sorted(steps)
    assert len(steps) == 150


def test_who_waits_does_something_else_meanwhile(products: Products) -> None:
    """A little at a time, until all have come: the last to come does none of it."""
    done: list[int] = []

    def go_on(thread: int) -> bool:
        done.append(thread)
        return True

    def work(thread: int, threads: int) -> None:
        if thread == 0:
            became_true(lambda: {1, 2} <= set(done))
        products.barrier(lambda: go_on(thread))

    products.fork(work)
    assert set(done) == {1, 2}


def test_who_has_nothing_left_to_do_meanwhile_waits(products: Products) -> None:
    """And sleeps, as others may need its core to come at all."""
    tasks, left, slept = worker_tasks(products), {1: 3, 2: 3}, list[bool]()

    def spend(thread: int) -> bool:
        left[thread] -= 1
        return left[thread] > 0

    def work(thread: int, threads: int) -> None:
        if thread == 0:
            slept.append(became_true(lambda: all(state(task) == "S" for task in tasks) and not any(left.values())))
        products.barrier(lambda: spend(thread))

    products.fork(work)
    assert slept == [True]
    assert left == {1: 0, 2: 0}


def test_forks_follow_each_other(products: Products) -> None:
    finished: list[int] = []
    for fork in range(200):
        products.fork(lambda thread, threads, fork=fork: finished.append(fork))  # type: ignore[misc]
    assert finished == [fork for fork in range(200) for _ in range(3)]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_resized(products: Products, threads: int) -> None:
    others = all_tasks() - set(worker_tasks(products))  # also threads of before, on their way out
    products.pool.resize(threads)
    calls: list[int] = []
    products.fork(lambda thread, _: calls.append(thread))
    assert sorted(calls) == list(range(threads))
    workers = set(worker_tasks(products))
    await_true(lambda: all_tasks() - others == workers)


def test_fewer_threads_than_one_are_one(products: Products) -> None:
    assert products.library.functions.parley_pool_resize(products.pool.pointer, -3) == 1
    calls: list[int] = []
    products.fork(lambda thread, _: calls.append(thread))
    assert calls == [0]


def test_idle_threads_sleep(products: Products) -> None:
    tasks = worker_tasks(products)
    await_true(lambda: all(state(task) == "S" for task in tasks))
    used = [ticks(task) for task in tasks]
    time.sleep(0.1)  # there is no event for nothing happening
    assert [ticks(task) for task in tasks] == used


def test_threads_that_wait_for_another_sleep(products: Products) -> None:
    """Spinning, they would keep a preempted one from its core."""
    tasks, slept = worker_tasks(products), list[bool]()

    def work(thread: int, threads: int) -> None:
        if thread == 0:
            slept.append(became_true(lambda: all(state(task) == "S" for task in tasks)))
        products.barrier()

    products.fork(work)
    assert slept == [True]


def test_signals_are_for_others(products: Products) -> None:
    for task in worker_tasks(products):
        blocked = next(line for line in (TASKS / str(task) / "status").read_text().splitlines() if "SigBlk" in line)
        assert int(blocked.split()[1], 16) & 0b100000000000010 == 0b100000000000010  # SIGINT 2, SIGTERM 15


def test_closing_ends_the_threads(products: Products) -> None:
    tasks = worker_tasks(products)
    products.pool.close()
    await_true(lambda: not any((TASKS / str(task)).exists() for task in tasks))


def worker_tasks(products: Products) -> list[int]:
    calls: list[int] = []
    products.fork(lambda thread, threads: calls.append(threading.get_native_id()))
    return [task for task in calls if task != threading.get_native_id()]


def all_tasks() -> set[int]:
    return {int(task.name) for task in TASKS.iterdir()}


def state(task: int) -> str:
    return (TASKS / str(task) / "stat").read_text().rpartition(") ")[2].split()[0]


def ticks(task: int) -> list[str]:
    return (TASKS / str(task) / "stat").read_text().rpartition(") ")[2].split()[11:13]


def await_true(condition: Callable[[], bool]) -> None:
    assert became_true(condition)


def became_true(condition: Callable[[], bool]) -> bool:
    """For use in a fork, where what is raised is lost and a thread that does not come keeps all waiting for ever."""
    until = time.monotonic() + 30
    while not (result := condition()) and time.monotonic() < until:
        time.sleep(0.001)
    return result

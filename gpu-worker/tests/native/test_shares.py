"""How threads divide the panels of products."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from parley_worker.native.library import Library
from parley_worker.testing.products import Products

THREADS = 4
Taken = list[tuple[int, int]]


@pytest.fixture
def products() -> Iterator[Products]:
    products = Products(Library(), THREADS)
    yield products
    products.pool.close()


@pytest.mark.parametrize("count", [0, 1, 3, 4, 97, 1000])
def test_every_piece_is_taken_once(products: Products, count: int) -> None:
    """In more jobs than there are numbers of jobs."""
    jobs: list[Taken] = [[] for _ in range(300)]

    with products.shares() as divide:

        def work(thread: int, _: int) -> None:
            for job in jobs:
                divide(count, thread, lambda first, last, job=job: job.append((first, last)))  # type: ignore[misc]
                products.barrier()

        products.fork(work)
    for job in jobs:
        assert pieces(job) == list(range(count))


@pytest.mark.parametrize("begins", [False, True])
def test_others_do_what_a_late_thread_does_not(products: Products, begins: bool) -> None:
    """It comes when all is done; or it has begun, and is stopped at the first pieces that it has taken."""
    before, others, late = Taken(), Taken(), Taken()
    begun, all_done = threading.Event(), threading.Event()

    with products.shares() as divide:

        def take_late(first: int, last: int) -> None:
            late.append((first, last))
            begun.set()
            if begins:
                all_done.wait(30)

        def take(first: int, last: int) -> None:
            others.append((first, last))
            if len(pieces(others)) + len(pieces(late)) == 400 and bool(late) == begins:
                all_done.set()

        def work(thread: int, _: int) -> None:
            divide(400, thread, lambda first, last: before.append((first, last)))
            products.barrier()
            if begins and thread != 0:
                begun.wait(30)
            if not begins and thread == 0:
                all_done.wait(30)
            divide(400, thread, take_late if thread == 0 else take)

        products.fork(work)
    assert pieces(before) == pieces(others + late) == list(range(400))
    assert len(late) == begins


def pieces(runs: Taken) -> list[int]:
    return sorted(piece for first, last in runs for piece in range(first, last))

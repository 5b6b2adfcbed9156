"""Work side by side: nothing is left behind when one part fails."""

from __future__ import annotations

import asyncio

import pytest

from parley_kit.tasks import both, gather_all


async def fail(error: Exception) -> None:
    raise error


async def test_all_are_over_before_the_first_failure_is_told() -> None:
    done = list[int]()

    async def work(number: int) -> None:
        await asyncio.sleep(0)
        done.append(number)

    with pytest.raises(ValueError, match="first"):
        await gather_all([fail(ValueError("first")), work(1), fail(KeyError("second")), work(2)])
    assert done == [1, 2]


async def test_the_results_are_in_order_however_long_each_takes() -> None:
    first, second = asyncio.Event(), asyncio.Event()

    async def wait(for_: asyncio.Event, then: asyncio.Event, result: int) -> int:
        await for_.wait()
        then.set()
        return result

    second.set()
    assert await gather_all([wait(first, asyncio.Event(), 1), wait(second, first, 2)]) == [1, 2]


async def test_both_run_at_once() -> None:
    barrier = asyncio.Barrier(2)

    async def meet(name: str) -> str:
        await barrier.wait()
        return name

    assert await both(meet("one"), meet("other")) == ("one", "other")


async def test_the_other_is_over_before_the_failure_of_one_is_told() -> None:
    done = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        done.set()

    with pytest.raises(ValueError, match="one"):
        await both(fail(ValueError("one")), work())
    assert done.is_set()
    with pytest.raises(KeyError):
        await both(work(), fail(KeyError("other")))

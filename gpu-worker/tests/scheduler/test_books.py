"""What the scheduler tells of itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from parley_worker.kv.pool import IntegrityError
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.testing.stepping import advance, request


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda scheduler: scheduler._live.popitem(), "2 running and 1 waiting of 2"),
        (
            lambda scheduler: setattr(scheduler._residents.running[0], "row", scheduler._residents.running[1].row),
            "share a row",
        ),
        (lambda scheduler: scheduler._residents.running[0].blocks.pop(), "holders"),
    ],
)
def test_integrity_tells_what_is_wrong(damage: Callable[[Scheduler], None], complaint: str) -> None:
    scheduler = Scheduler(16, 2, 64, step_tokens=64)
    for name in "abc":
        scheduler.add(request(name))
    advance(scheduler)
    scheduler.check_integrity()
    damage(scheduler)
    with pytest.raises(IntegrityError, match=complaint):
        scheduler.check_integrity()


def test_the_numbers_of_a_step() -> None:
    scheduler, prompt = Scheduler(16, 2, 128, step_tokens=64), tuple(range(40))
    scheduler.add(request("a", prompt, 9))
    advance(scheduler)
    scheduler.add(request("b", (*prompt[:32], 1, 2)))
    scheduler.add(request("c", 3))
    advance(scheduler)
    stats = scheduler.stats
    assert stats is not None
    assert (stats.rows, stats.decode_rows, stats.prompt_rows) == (3, 1, 2)
    assert (stats.running, stats.waiting, stats.prefix_hits, stats.preemptions) == (2, 1, 32, 0)
    assert (stats.blocks_used, stats.blocks_cached, stats.blocks_total) == (4, 0, 16)
    scheduler.abort("a")
    scheduler.abort("b")
    advance(scheduler)
    assert scheduler.stats is not None
    assert (scheduler.stats.blocks_used, scheduler.stats.blocks_cached) == (1, 4)

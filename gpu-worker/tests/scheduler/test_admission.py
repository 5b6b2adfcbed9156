"""Who runs, who waits, and who is refused."""

from __future__ import annotations

import pytest

from parley_worker.scheduler.request import Request
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.testing.stepping import advance, advance_to_shape, request


def test_no_more_run_than_the_capacity() -> None:
    scheduler = Scheduler(64, 2, 256, step_tokens=64)
    for name in "abc":
        scheduler.add(request(name, max_tokens=1 if name == "a" else 3))
    assert set(advance_to_shape(scheduler)) == {"a", "b"}
    assert set(advance_to_shape(scheduler)) == {"b", "c"}


def test_nobody_is_admitted_without_blocks_for_his_prompt_beside_those_of_others() -> None:
    scheduler = Scheduler(8, 8, 128, step_tokens=16)
    scheduler.add(request("a", 60, max_tokens=1))
    scheduler.add(request("b", 60, max_tokens=1))
    scheduler.add(request("c", 4, max_tokens=1))
    names: set[str] = set()
    for _ in range(4):
        names |= set(advance_to_shape(scheduler))
        assert scheduler.stats is not None
        assert scheduler.stats.preemptions == 0
    assert names == {"a", "b"}


def test_nobody_passes_him_who_is_next() -> None:
    scheduler = Scheduler(8, 8, 128, step_tokens=64)
    scheduler.add(request("a", 30, max_tokens=8))
    advance(scheduler)
    scheduler.add(request("big", 115))
    scheduler.add(request("small", 1))
    for _ in range(7):
        assert set(advance_to_shape(scheduler)) == {"a"}
    assert set(advance_to_shape(scheduler)) == {"big"}


def test_users_take_turns() -> None:
    scheduler = Scheduler(64, 1, 256, step_tokens=16)
    for number in range(3):
        scheduler.add(request(f"a{number}", 16, max_tokens=1, user="a"))
    scheduler.add(request("b0", 16, max_tokens=1, user="b"))
    assert [next(iter(advance_to_shape(scheduler))) for _ in range(4)] == ["a0", "b0", "a1", "a2"]


def test_a_user_with_long_answers_waits_longer() -> None:
    scheduler = Scheduler(64, 1, 256, step_tokens=16)
    for number in range(4):
        scheduler.add(request(f"a{number}", 8, max_tokens=40, user="a"))
        scheduler.add(request(f"b{number}", 8, max_tokens=1, user="b"))
    ends = []
    while not scheduler.idle:
        ends += [output.id[0] for output in advance(scheduler) if output.last]
    assert "".join(ends) == "abbbbaaa"


def test_what_fits_exactly_runs() -> None:
    scheduler = Scheduler(2, 1, 64, step_tokens=64)
    scheduler.add(request("a", 32, max_tokens=1))
    assert advance(scheduler)[0].last


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (request("a", 0), "0 tokens in a window of 64"),
        (request("a", 64), "64 tokens in a window of 64"),
        (request("a", 30, max_tokens=20), "do not fit in a cache of 3 blocks"),
        (request("a", 30, answered=4, max_tokens=4), "nothing to do"),
        (request("there"), "'there' is there already"),
    ],
)
def test_what_can_never_be_answered_is_refused(bad: Request, complaint: str) -> None:
    scheduler = Scheduler(3, 8, 64, step_tokens=64)
    scheduler.add(request("there"))
    with pytest.raises(ValueError, match=complaint):
        scheduler.add(bad)
    scheduler.add(request("b", 30, max_tokens=19))


@pytest.mark.parametrize("sizes", [(0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0)])
def test_sizes_are_positive(sizes: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="1 at least"):
        Scheduler(*sizes)

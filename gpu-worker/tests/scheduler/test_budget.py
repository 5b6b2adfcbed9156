"""Whose tokens share a step."""

from __future__ import annotations

from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.testing.stepping import advance, advance_to_shape, request


def test_those_that_decode_come_first_and_prompts_get_what_is_left() -> None:
    scheduler = Scheduler(64, 8, 256, step_tokens=40)
    scheduler.add(request("a", max_tokens=20))
    scheduler.add(request("b", max_tokens=20))
    advance(scheduler)
    scheduler.add(request("c", 100))
    assert advance_to_shape(scheduler) == {"a": 1, "b": 1, "c": 32}
    assert advance_to_shape(scheduler) == {"a": 1, "b": 1, "c": 32}
    assert advance_to_shape(scheduler) == {"a": 1, "b": 1, "c": 36}
    assert advance_to_shape(scheduler) == {"a": 1, "b": 1, "c": 1}


def test_a_short_prompt_does_not_stand_behind_a_long_one() -> None:
    scheduler = Scheduler(64, 8, 512, step_tokens=64)
    scheduler.add(request("long", 400))
    scheduler.add(request("middle", 200))
    scheduler.add(request("short", 20))
    assert advance_to_shape(scheduler) == {"long": 32, "middle": 12, "short": 20}


def test_pieces_of_prompts_end_where_blocks_do() -> None:
    scheduler = Scheduler(64, 8, 512, step_tokens=39)
    scheduler.add(request("a", 100))
    lengths = [advance_to_shape(scheduler)["a"] for _ in range(3)]
    assert lengths == [32, 32, 36]


def test_prompts_go_on_even_when_the_decoding_use_up_the_budget() -> None:
    scheduler = Scheduler(64, 8, 256, step_tokens=2)
    scheduler.add(request("a", 1, max_tokens=9))
    advance(scheduler)
    scheduler.add(request("b", 1, max_tokens=9))
    advance(scheduler)
    scheduler.add(request("c", 40))
    assert advance_to_shape(scheduler) == {"a": 1, "b": 1, "c": 2}


def test_the_segments_of_one_row_come_first() -> None:
    scheduler = Scheduler(64, 8, 256, step_tokens=64)
    scheduler.add(request("b", 20))
    scheduler.add(request("a", 1))
    assert [segment.length for segment in scheduler.schedule(0.0).segments] == [1, 20]

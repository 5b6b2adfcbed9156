"""Who gives blocks back, and that nobody notices."""

from __future__ import annotations

from parley_worker.scheduler.batch import BLOCK_SIZE
from parley_worker.scheduler.request import Output
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.testing.block_model import BlockModel, answer
from parley_worker.testing.stepping import drain, request, shape, update


def test_the_last_to_arrive_gives_its_blocks_and_comes_back_first() -> None:
    scheduler, model = Scheduler(6, 4, 96, step_tokens=128), BlockModel(6)
    requests = [request("a", tuple(range(30)), 30), request("b", tuple(range(50, 80)), 30), request("c", 40, 9)]
    for each in requests:
        scheduler.add(each)
    preempted = False
    answers: dict[str, list[int]] = {}
    while not scheduler.idle:
        step = scheduler.schedule(0.0)
        if step.preemptions:
            preempted = True
            assert set(shape(step)) == {"a"}
        for output in scheduler.update(step, model.run(step)):
            assert output.token_id is not None
            answers.setdefault(output.id, []).append(output.token_id)
    assert preempted
    assert list(answers) == ["a", "b", "c"]
    assert answers == {each.id: answer(each, each.max_tokens) for each in requests}


def run(scheduler: Scheduler) -> tuple[list[Output], int]:
    """All outputs, and how many tokens were found in the cache on the way."""
    outputs, hits = list[Output](), 0
    while not scheduler.idle:
        step = scheduler.schedule(0.0)
        hits += step.prefix_hits
        outputs += update(scheduler, step)
    return outputs, hits


def test_what_is_computed_again_is_found_in_the_cache_and_not_told_as_cached() -> None:
    scheduler = Scheduler(5, 4, 96, step_tokens=128)
    scheduler.add(request("a", 31, 10))
    scheduler.add(request("b", 40, 10))
    outputs, hits = run(scheduler)
    assert hits == 32
    assert all(output.cached_tokens == 0 for output in outputs)


def test_who_had_to_go_before_his_first_token_is_not_told_of_his_own_blocks_as_cached() -> None:
    scheduler = Scheduler(6, 4, 96, step_tokens=3)
    scheduler.add(request("a", 31, 40))
    scheduler.add(request("b", 60, 4))
    outputs, hits = run(scheduler)
    assert hits >= BLOCK_SIZE
    assert all(output.cached_tokens == 0 for output in outputs)


def test_the_oldest_prompt_takes_blocks_from_other_prompts() -> None:
    scheduler, model = Scheduler(10, 4, 160, step_tokens=3), BlockModel(10)
    requests = [request("a", 100, 4), request("d", 14, 120), request("q", 30, 4)]
    for each in requests:
        scheduler.add(each)
    assert drain(scheduler, model) == {each.id: answer(each, each.max_tokens) for each in requests}


def test_what_is_computed_again_is_found_again() -> None:
    scheduler = Scheduler(6, 4, 96, step_tokens=128)
    scheduler.add(request("a", 31, 40))
    scheduler.add(request("b", 40, 10))
    preemptions = 0
    while not scheduler.idle:
        step = scheduler.schedule(0.0)
        preemptions += step.preemptions
        update(scheduler, step)
    assert preemptions == 1
    scheduler.add(request("b", 40, 10))
    assert scheduler.schedule(0.0).prefix_hits == 32


def test_the_oldest_prompt_takes_blocks_from_those_that_decode_also_in_this_step() -> None:
    scheduler, model = Scheduler(8, 4, 128, step_tokens=3), BlockModel(8)
    long, short = request("long", tuple(range(100)), 8), request("short", tuple(range(200, 210)), 60)
    scheduler.add(long)
    scheduler.add(short)
    answers: dict[str, list[int]] = {"long": [], "short": []}
    taken = []
    while not scheduler.idle:
        step = scheduler.schedule(0.0)
        if step.preemptions:
            taken.append(shape(step))
        assert "long" in shape(step) or len(answers["long"]) == 8
        for output in scheduler.update(step, model.run(step)):
            assert output.token_id is not None
            answers[output.id].append(output.token_id)
        scheduler.check_integrity()
    assert taken[0] == {"long": 3}
    assert answers == {"long": answer(long, 8), "short": answer(short, 60)}

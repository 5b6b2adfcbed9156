"""What is found in the cache, and what is not."""

from __future__ import annotations

from parley_worker.scheduler.batch import BLOCK_SIZE
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.testing.block_model import BlockModel, answer
from parley_worker.testing.stepping import advance, advance_to_shape, drain, request, shape, update


def test_who_comes_with_the_same_prefix_computes_the_rest_alone() -> None:
    scheduler, prefix = Scheduler(32, 4, 256, step_tokens=128), tuple(range(70))
    scheduler.add(request("a", prefix))
    (first,) = advance(scheduler)
    scheduler.add(request("b", (*prefix, 1, 2)))
    step = scheduler.schedule(0.0)
    assert shape(step) == {"a": 1, "b": 72 - 64}
    assert step.prefix_hits == 64
    assert [(output.id, output.cached_tokens) for output in update(scheduler, step)] == [("a", 0), ("b", 64)]
    assert first.cached_tokens == 0
    assert [output.cached_tokens for output in advance(scheduler)] == [0, 0]


def test_a_token_is_left_to_compute() -> None:
    scheduler, prompt = Scheduler(32, 4, 256, step_tokens=128), tuple(range(2 * BLOCK_SIZE))
    scheduler.add(request("a", prompt, max_tokens=1))
    advance(scheduler)
    scheduler.add(request("b", prompt))
    assert advance_to_shape(scheduler) == {"b": BLOCK_SIZE}


def test_the_next_turn_of_a_conversation_finds_prompt_and_answer() -> None:
    scheduler, prompt = Scheduler(32, 4, 256, step_tokens=128), tuple(range(20))
    scheduler.add(request("turn", prompt, max_tokens=30))
    while not scheduler.idle:
        advance(scheduler)
    scheduler.add(request("next", (*prompt, *(7,) * 30, 1, 2, 3)))
    assert scheduler.schedule(0.0).prefix_hits == 49


def test_a_block_that_was_left_in_its_middle_is_taken_by_one() -> None:
    scheduler, model, prompt = Scheduler(32, 4, 256, step_tokens=128), BlockModel(32), tuple(range(20))
    first = request("first", prompt, max_tokens=7)
    scheduler.add(first)
    tokens = (*prompt, *drain(scheduler, model)["first"])
    nexts = [request(name, (*tokens, n)) for n, name in enumerate("abc")]
    for each in nexts:
        scheduler.add(each)
    step = scheduler.schedule(0.0)
    assert (shape(step), step.prefix_hits) == ({"a": 2, "b": 12, "c": 12}, 26 + 16 + 16)
    outputs = scheduler.update(step, model.run(step))
    assert [output.cached_tokens for output in outputs] == [26, 16, 16]
    answers = drain(scheduler, model)
    for each, output in zip(nexts, outputs, strict=True):
        assert [output.token_id, *answers[each.id]] == answer(each, 4)


def test_a_block_that_was_left_in_its_middle_is_not_for_who_repeats_less_of_it() -> None:
    scheduler, prompt = Scheduler(32, 4, 256, step_tokens=128), tuple(range(20))
    scheduler.add(request("turn", prompt, max_tokens=5))
    while not scheduler.idle:
        advance(scheduler)
    sevens = (7,) * 4
    scheduler.add(request("same", (*prompt, *sevens)))
    scheduler.add(request("other", (*prompt, 7, 7, 7, 8, 8)))
    scheduler.add(request("all", (*prompt, *sevens, 8)))
    assert shape(scheduler.schedule(0.0)) == {"same": 8, "other": 9, "all": 1}


def test_who_goes_before_his_first_step_is_done_leaves_the_block_as_it_was() -> None:
    scheduler, prompt = Scheduler(32, 4, 256, step_tokens=128), tuple(range(20))
    scheduler.add(request("turn", prompt, max_tokens=5))
    while not scheduler.idle:
        advance(scheduler)
    scheduler.add(request("stopped", (*prompt, *(7,) * 4, 8)))
    step = scheduler.schedule(0.0)
    scheduler.abort("stopped")
    update(scheduler, step)
    scheduler.add(request("next", (*prompt, *(7,) * 4, 9)))
    assert shape(scheduler.schedule(0.0)) == {"next": 1}


def test_nobody_finds_the_block_that_a_failed_one_left() -> None:
    scheduler, prompt = Scheduler(32, 4, 256, step_tokens=128), tuple(range(8))
    scheduler.add(request("fails", prompt))
    advance(scheduler)
    advance(scheduler, None)
    scheduler.add(request("next", (*prompt, 7, 1, 2)))
    assert scheduler.schedule(0.0).prefix_hits == 0


def test_an_answer_is_found_while_it_is_made() -> None:
    scheduler, prompt = Scheduler(32, 4, 256, step_tokens=128), tuple(range(20))
    scheduler.add(request("runs", prompt, max_tokens=100))
    for _ in range(13):
        advance(scheduler)
    scheduler.add(request("same", (*prompt, *(7,) * 13)))
    assert scheduler.schedule(0.0).prefix_hits == 32


def test_a_block_is_not_found_before_it_is_computed() -> None:
    scheduler, prompt = Scheduler(32, 4, 256, step_tokens=128, lookahead=True), tuple(range(40))
    scheduler.add(request("a", prompt))
    first = scheduler.schedule(0.0)
    scheduler.add(request("b", prompt))
    second = scheduler.schedule(0.0)
    assert shape(second) == {"a": 1}
    update(scheduler, first)
    update(scheduler, second)
    assert shape(scheduler.schedule(0.0)) == {"a": 1, "b": 8}


def test_sixteen_with_one_prefix_compute_it_once() -> None:
    prefix = tuple(n % 50 for n in range(600))
    scheduler, model = Scheduler(200, 16, 1024, step_tokens=256), BlockModel(200)
    requests = [request(f"{n}", (*prefix, 60 + n), max_tokens=3) for n in range(16)]
    for each in requests:
        scheduler.add(each)
    computed, answers = 0, dict[str, list[int]]()
    while not scheduler.idle:
        step = scheduler.schedule(0.0)
        computed += step.rows - step.decode_rows
        for output in scheduler.update(step, model.run(step)):
            assert output.token_id is not None
            answers.setdefault(output.id, []).append(output.token_id)
            if len(answers[output.id]) == 1:
                assert output.cached_tokens == (0 if output.id == "0" else 592)
    assert computed == 601 + 15 * 9
    assert answers == {each.id: answer(each, 3) for each in requests}


def test_whose_next_block_another_one_computes_waits_for_it_also_in_the_middle_of_a_prompt() -> None:
    scheduler, prompt = Scheduler(64, 4, 512, step_tokens=64), tuple(range(200))
    scheduler.add(request("a", prompt))
    advance(scheduler)
    scheduler.add(request("b", (*prompt[:100], 1, 2, 3)))
    assert advance_to_shape(scheduler) == {"a": 64}
    assert advance_to_shape(scheduler) == {"a": 48, "b": 7}


def test_who_is_in_the_middle_of_a_block_finishes_it_himself() -> None:
    scheduler, model, prefix = Scheduler(64, 4, 512, step_tokens=8), BlockModel(64), tuple(range(32))
    first, long = request("first", 200), request("long", (*prefix, *range(100)))
    scheduler.add(first)
    scheduler.add(long)
    step = scheduler.schedule(0.0)
    assert shape(step) == {"first": 4, "long": 4}
    scheduler.update(step, model.run(step))
    short = request("short", (*prefix, 1, 2))
    scheduler.add(short)
    assert drain(scheduler, model) == {each.id: answer(each, 4) for each in (first, long, short)}


def test_nobody_finds_what_another_user_said() -> None:
    scheduler, prompt = Scheduler(32, 4, 256, step_tokens=128), tuple(range(40))
    scheduler.add(request("a", prompt, max_tokens=1, user="ada"))
    advance(scheduler)
    scheduler.add(request("b", (*prompt, 1), max_tokens=1, user="bob"))
    assert advance_to_shape(scheduler) == {"b": 41}
    scheduler.add(request("c", prompt, user="ada"))
    assert advance_to_shape(scheduler) == {"c": 40 - 2 * BLOCK_SIZE}


def test_without_sharing_everybody_computes_his_own() -> None:
    scheduler, prompt = Scheduler(32, 4, 256, step_tokens=128, share=False), tuple(range(40))
    scheduler.add(request("a", prompt, max_tokens=1))
    scheduler.add(request("b", prompt, max_tokens=1))
    assert advance_to_shape(scheduler) == {"a": 40, "b": 40}
    assert scheduler.stats is not None
    assert scheduler.stats.blocks_cached == 0
    scheduler.add(request("c", prompt))
    assert advance_to_shape(scheduler) == {"c": 40}


def test_the_end_of_a_prefix_is_given_out_before_its_beginning() -> None:
    scheduler, prompt = Scheduler(8, 2, 128, step_tokens=128), tuple(range(64))
    scheduler.add(request("a", prompt, max_tokens=1))
    advance(scheduler)
    scheduler.add(request("other", 90, max_tokens=1))
    advance(scheduler)
    scheduler.add(request("b", (*prompt, 1), max_tokens=1))
    assert scheduler.schedule(0.0).prefix_hits == 32


def test_who_paid_for_a_prefix_that_he_then_took_over_gets_it_back() -> None:
    scheduler, prompt = Scheduler(64, 2, 256, step_tokens=256), tuple(range(100))
    for name in ("a0", "a1"):
        scheduler.add(request(name, prompt, max_tokens=2, user="a"))
    scheduler.add(request("a2", 100, user="a"))
    scheduler.add(request("b0", 100, user="b"))
    assert [advance_to_shape(scheduler) for _ in range(3)] == [
        {"a0": 100},
        {"a0": 1, "a1": 4},
        {"a1": 1, "a2": 100},
    ]

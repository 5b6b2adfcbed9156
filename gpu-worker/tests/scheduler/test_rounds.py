"""Steps that are repeated with what they drew: fewer calls, the same answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parley_worker.core import FinishReason
from parley_worker.scheduler.request import Drawn, Sampling
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.testing.sampling import GREEDY
from parley_worker.testing.stepping import STOP, Guesses, advance, request, shape, update


def decoding(*lengths: int, blocks: int = 16, sampling: Sampling = GREEDY) -> Scheduler:
    """A scheduler of up to four rounds whose requests, of three tokens and these max_tokens, have drawn one."""
    scheduler = Scheduler(blocks, 4, 64, step_tokens=32, rounds=4)
    for name, max_tokens in zip("abcd", lengths, strict=False):
        scheduler.add(request(name, 3, max_tokens, sampling=sampling))
    advance(scheduler, 1)
    return scheduler


def draws(*tokens: int) -> list[Drawn | None]:
    return [Drawn(token) for token in tokens]


def test_a_step_of_those_that_decode_may_have_rounds() -> None:
    step = decoding(20, 20).schedule(0.0)
    assert (step.rounds, step.rows, step.draw_count) == (4, 2, 2)
    assert [(segment.length, segment.draws, segment.token_ids) for segment in step.segments] == [(1, 1, [1])] * 2


@pytest.mark.parametrize("rounds", [1, 2, 4])
def test_the_draws_come_round_by_round_and_as_many_rounds_as_there_were(rounds: int) -> None:
    scheduler = decoding(20, 20)
    step = scheduler.schedule(0.0)
    outputs = scheduler.update(step, draws(10, 20, 11, 21, 12, 22, 13, 23)[: 2 * rounds])
    made = {name: [output.token_id for output in outputs if output.id == name] for name in "ab"}
    assert made == {"a": [10, 11, 12, 13][:rounds], "b": [20, 21, 22, 23][:rounds]}
    assert scheduler.stats is not None
    assert (scheduler.stats.rounds, scheduler.stats.rows, scheduler.stats.drafts_accepted) == (rounds, 2 * rounds, 0)
    after = scheduler.schedule(0.0)
    assert [(segment.start, segment.place, segment.token_ids) for segment in after.segments] == [
        (3 + rounds, 1 + rounds, [9 + rounds]),
        (3 + rounds, 1 + rounds, [19 + rounds]),
    ]


@pytest.mark.parametrize("count", [0, 1, 3, 10])
def test_other_draws_than_those_of_whole_rounds_are_refused(count: int) -> None:
    scheduler = decoding(20, 20)
    with pytest.raises(ValueError, match="not the draws of the step"):
        scheduler.update(scheduler.schedule(0.0), draws(*range(count)))


def test_nobody_draws_more_than_is_left_to_him() -> None:
    scheduler = decoding(20, 3)
    step = scheduler.schedule(0.0)
    assert step.rounds == 2
    outputs = scheduler.update(step, draws(7, 8, 7, 8))
    assert [output.id for output in outputs if output.finish_reason is FinishReason.LENGTH] == ["b"]


def test_a_stop_token_ends_an_answer_in_the_middle_of_the_rounds() -> None:
    scheduler = decoding(20)
    outputs = scheduler.update(scheduler.schedule(0.0), draws(7, STOP, 8, 9))
    assert [output.token_id for output in outputs] == [7, STOP]
    assert scheduler.idle
    scheduler.check_integrity()


def test_there_is_one_round_beside_a_prompt() -> None:
    scheduler = decoding(20)
    scheduler.add(request("b", 40, 5))
    step = scheduler.schedule(0.0)
    assert shape(step) == {"a": 1, "b": 16}
    assert step.rounds == 1


def test_there_is_one_round_with_drafts_and_rounds_where_there_are_none() -> None:
    proposer = Guesses(2, 3)
    scheduler = Scheduler(16, 4, 64, step_tokens=32, proposer=proposer, rounds=4)
    scheduler.add(request("a", 3, 20))
    advance(scheduler, 1)
    step = scheduler.schedule(0.0)
    assert (step.rounds, step.proposed) == (1, 2)
    update(scheduler, step)
    proposer.drafts.clear()
    assert scheduler.schedule(0.0).rounds == 4


@pytest.mark.parametrize("sampling", [replace(GREEDY, presence_penalty=0.5), replace(GREEDY, logprobs=0)])
def test_there_is_one_round_where_a_draw_needs_more_than_scores(sampling: Sampling) -> None:
    scheduler = decoding(20, 20)
    scheduler.add(request("c", 3, 20, sampling=sampling))
    advance(scheduler)
    step = scheduler.schedule(0.0)
    assert (step.rounds, len(step.segments)) == (1, 3)


def test_there_are_as_many_rounds_as_there_are_blocks_for() -> None:
    """Nobody has to go for a round that is not needed yet."""
    scheduler = Scheduler(2, 4, 32, step_tokens=32, rounds=4)
    scheduler.add(request("a", 12, 3))
    scheduler.add(request("b", 12, 3))
    advance(scheduler)
    assert scheduler.schedule(0.0).rounds == 2
    full = Scheduler(2, 4, 32, step_tokens=32, rounds=4)
    full.add(request("a", 14, 17))
    full.add(request("b", 14, 17))
    advance(full)
    step = full.schedule(0.0)
    assert (step.rounds, step.preemptions, len(step.segments)) == (2, 0, 2)


def test_rounds_and_lookahead_do_not_go_together() -> None:
    with pytest.raises(ValueError, match="and no rounds"):
        Scheduler(8, 4, 64, 32, lookahead=True, rounds=2)

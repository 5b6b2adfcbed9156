"""Drafts change how many steps an answer takes, and nothing else."""

from __future__ import annotations

import pytest

from parley_worker.core import FinishReason
from parley_worker.scheduler.batch import BLOCK_SIZE
from parley_worker.scheduler.request import Drawn, Fault
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.testing.stepping import STOP, Guesses, advance, request, shape


def speculating(proposer: Guesses, blocks: int = 16, window: int = 64, max_tokens: int = 20) -> Scheduler:
    scheduler = Scheduler(blocks, 4, window, step_tokens=32, proposer=proposer)
    scheduler.add(request("a", (5, 6), max_tokens))
    advance(scheduler, 1)
    return scheduler


def test_drafts_are_rows_that_all_draw_and_know_what_is_before_them() -> None:
    scheduler = speculating(Guesses(2, 3))
    step = scheduler.schedule(0.0)
    (segment,) = step.segments
    assert (segment.length, segment.draws, segment.token_ids) == (3, 3, [1, 2, 3])
    assert [(draw.index, list(draw.tokens), draw.prompt) for draw in step.draws] == [
        (1, [5, 6, 1], 2),
        (2, [5, 6, 1, 2], 2),
        (3, [5, 6, 1, 2, 3], 2),
    ]


@pytest.mark.parametrize(
    ("drawn", "tokens"), [((2, 3, 4), [2, 3, 4]), ((2, 9, 4), [2, 9]), ((9, 3, 4), [9]), ((STOP, 3, 4), [STOP])]
)
def test_drafts_count_as_long_as_they_are_what_is_drawn(drawn: tuple[int, ...], tokens: list[int]) -> None:
    proposer = Guesses(2, 3)
    scheduler = speculating(proposer)
    outputs = scheduler.update(scheduler.schedule(0.0), [Drawn(token) for token in drawn])
    assert [output.token_id for output in outputs] == tokens
    assert proposer.seen == [(2, len(tokens) - 1)]
    assert scheduler.stats is not None
    assert (scheduler.stats.drafts_proposed, scheduler.stats.drafts_accepted) == (2, len(tokens) - 1)
    if not outputs[-1].last:
        (segment,) = scheduler.schedule(0.0).segments
        assert (segment.start, segment.token_ids[0], segment.place) == (
            2 + len(tokens),
            tokens[-1],
            1 + len(tokens),
        )


def test_a_stop_token_cuts_what_is_accepted() -> None:
    drafts = (STOP, *range(20))
    scheduler = speculating(Guesses(*drafts), max_tokens=60)
    outputs = scheduler.update(scheduler.schedule(0.0), [Drawn(token) for token in (*drafts, 30)])
    assert [(output.token_id, output.finish_reason) for output in outputs] == [(STOP, FinishReason.STOP)]
    assert scheduler.idle
    assert scheduler.stats is not None
    assert scheduler.stats.blocks_cached == 1
    scheduler.check_integrity()
    scheduler.add(request("next", (5, 6, 1, *drafts)))
    assert shape(scheduler.schedule(0.0)) == {"next": len(drafts) - 1}


def test_scores_that_are_not_finite_count_only_where_a_draft_is_accepted() -> None:
    scheduler = speculating(Guesses(2, 3))
    outputs = scheduler.update(scheduler.schedule(0.0), [Drawn(9), None, None])
    assert [output.token_id for output in outputs] == [9]
    outputs = scheduler.update(scheduler.schedule(0.0), [Drawn(2), None, None])
    assert [(output.token_id, output.error) for output in outputs] == [(2, None), (None, Fault.NOT_FINITE)]


@pytest.mark.parametrize(("window", "max_tokens", "limit"), [(64, 5, 3), (7, 50, 3), (64, 50, 31), (64, 2, None)])
def test_no_more_drafts_than_the_answer_and_the_step_have_room_for(
    window: int, max_tokens: int, limit: int | None
) -> None:
    proposer = Guesses(*range(40))
    scheduler = speculating(proposer, window=window, max_tokens=max_tokens)
    step = scheduler.schedule(0.0)
    assert proposer.limits == ([] if limit is None else [limit])
    assert step.rows == 1 + (limit or 0)


def test_drafts_take_blocks_that_are_available_and_no_others() -> None:
    proposer = Guesses(*range(40))
    scheduler = speculating(proposer, blocks=2, window=30)
    scheduler.add(request("b", 2, 9))
    advance(scheduler)
    step = scheduler.schedule(0.0)
    assert step.preemptions == 0
    assert proposer.limits[0] <= 13


def test_no_drafts_where_more_decode_than_the_proposer_is_for() -> None:
    proposer = Guesses(2, 3)
    scheduler = speculating(proposer)
    for name in "bc":
        scheduler.add(request(name, 2, 20))
    advance(scheduler)
    assert shape(scheduler.schedule(0.0)) == {"a": 1, "b": 1, "c": 1}


def test_blocks_of_rejected_drafts_are_not_found() -> None:
    drafts = tuple(range(2, 30))
    scheduler = speculating(Guesses(*drafts), max_tokens=60)
    scheduler.update(scheduler.schedule(0.0), [Drawn(9)] * 29)
    scheduler.add(request("b", (5, 6, 1, *drafts)))
    assert scheduler.schedule(0.0).prefix_hits == 0


def test_a_block_is_not_found_while_its_last_token_is_only_drawn() -> None:
    drafts = tuple(range(2, 30))
    scheduler = speculating(Guesses(*drafts), max_tokens=60)
    scheduler.update(scheduler.schedule(0.0), [Drawn(token) for token in (*drafts[:12], *[9] * 17)])
    scheduler.add(request("b", (5, 6, 1, *drafts[:12], 9, 1)))
    assert scheduler.schedule(0.0).prefix_hits == 0


def test_blocks_of_accepted_drafts_are_found() -> None:
    drafts = tuple(range(2, 30))
    scheduler = speculating(Guesses(*drafts), max_tokens=60)
    scheduler.update(scheduler.schedule(0.0), [Drawn(token) for token in (*drafts, 30)])
    scheduler.add(request("b", (5, 6, 1, *drafts)))
    assert scheduler.schedule(0.0).prefix_hits == BLOCK_SIZE


def test_what_was_cached_is_told_once_also_where_the_first_token_brings_more() -> None:
    scheduler = Scheduler(16, 4, 64, step_tokens=16, proposer=Guesses(7, 7))
    scheduler.add(request("a", tuple(range(17)), max_tokens=1))
    advance(scheduler)
    advance(scheduler)
    scheduler.add(request("b", (*range(16), *range(50, 67)), max_tokens=9))
    assert advance(scheduler) == []
    assert [output.cached_tokens for output in advance(scheduler)] == [16, 0, 0]


def test_drafts_and_lookahead_do_not_go_together() -> None:
    with pytest.raises(ValueError, match="no drafts can follow it"):
        Scheduler(8, 4, 64, 32, lookahead=True, proposer=Guesses())

"""How often each token was there, kept from draw to draw."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

from parley_worker.scheduler.counts import TokenCounts
from parley_worker.scheduler.draw import Draw
from parley_worker.scheduler.request import Drawn
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.testing.sampling import PLAIN
from parley_worker.testing.stepping import Guesses, advance, request

PENALIZED = replace(PLAIN, presence_penalty=0.5)


def as_dict(counts: TokenCounts, tokens: list[int]) -> dict[int, int]:
    ids, answered = counts.count(tokens)
    return dict(zip(ids.tolist(), answered.tolist(), strict=True))


def expected(tokens: list[int], prompt: int) -> dict[int, int]:
    return dict.fromkeys(tokens, 0) | Counter(tokens[prompt:])


def counted(draw: Draw) -> dict[int, int]:
    assert draw.counts
    return as_dict(draw.counts, list(draw.tokens))


def test_counts_grow_with_the_tokens() -> None:
    rng = random.Random(0)
    tokens, counts = [rng.randrange(9) for _ in range(12)], TokenCounts(12)
    for _ in range(200):
        assert as_dict(counts, tokens) == as_dict(counts, tokens) == expected(tokens, 12)
        tokens.extend(rng.randrange(40) for _ in range(rng.randrange(4)))


def test_what_was_counted_is_not_read_again() -> None:
    counts = TokenCounts(1)
    counts.count([1, 2, 2])
    assert as_dict(counts, [0, 0, 0, 2]) == {1: 0, 2: 3}


def test_what_was_told_stays_as_it_was_told() -> None:
    counts = TokenCounts(0)
    ids, answered = counts.count([1, 2])
    counts.count([1, 2, 1, 3])
    assert (ids.tolist(), answered.tolist()) == ([1, 2], [1, 1])


def test_a_copy_goes_on_alone() -> None:
    counts = TokenCounts(0)
    counts.count([1])
    assert as_dict(counts.copy(), [1, 1, 2]) == {1: 2, 2: 1}
    assert as_dict(counts, [1, 3]) == {1: 1, 3: 1}


def test_a_sequence_with_penalties_counts_on_from_step_to_step() -> None:
    scheduler = Scheduler(16, 4, 64, step_tokens=32)
    scheduler.add(request("a", (5, 6, 5), 9, sampling=PENALIZED))
    scheduler.add(request("b", (5, 6, 5), 9))
    kept = set()
    for tokens in ([5, 6, 5], [5, 6, 5, 7], [5, 6, 5, 7, 7]):
        step = scheduler.schedule(0.0)
        mine, other = step.draws
        assert other.counts is None
        assert counted(mine) == expected(tokens, 3)
        kept.add(mine.counts)
        scheduler.update(step, [Drawn(7)] * 2)
    assert len(kept) == 1


def test_drafts_that_are_rejected_were_never_counted() -> None:
    scheduler = Scheduler(16, 4, 64, step_tokens=32, proposer=Guesses(2, 3))
    scheduler.add(request("a", (5, 6), 20, sampling=PENALIZED))
    advance(scheduler, 1)
    step = scheduler.schedule(0.0)
    assert [counted(draw) for draw in step.draws] == [
        expected(tokens, 2) for tokens in ([5, 6, 1], [5, 6, 1, 2], [5, 6, 1, 2, 3])
    ]
    scheduler.update(step, [Drawn(9)] * 3)
    assert counted(scheduler.schedule(0.0).draws[0]) == expected([5, 6, 1, 9], 2)

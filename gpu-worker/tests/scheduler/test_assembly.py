"""The arrays of a step."""

from __future__ import annotations

import numpy as np

from parley_worker.scheduler.assembly import make_batch
from parley_worker.scheduler.batch import BLOCK_SIZE, Batch
from parley_worker.scheduler.request import Drawn, Request
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.testing.sampling import GREEDY


def request(name: str, tokens: range, answered: int = 0) -> Request:
    return Request(tuple(tokens), answered, 9, frozenset(), GREEDY, id=name)


class Guesses:
    """Always the same drafts."""

    streams = 4

    def propose(self, tokens: list[int], limit: int) -> list[int]:
        return [71, 72][:limit]

    def observe(self, proposed: int, accepted: int) -> None:
        """Nothing is learnt."""


def mixed_batch() -> Batch:
    """Two that decode, one of them with drafts, a prompt that is cut and one that an earlier attempt answered."""
    scheduler = Scheduler(16, 4, 64, step_tokens=40, proposer=Guesses())
    scheduler.add(Request((5, 6), 0, 2, frozenset(), GREEDY, id="ends"))
    scheduler.add(request("drafts", range(10, 28)))
    step = scheduler.schedule(0.0)
    scheduler.update(step, [Drawn(50), Drawn(51)])
    scheduler.add(request("cut", range(100, 140)))
    scheduler.add(request("resumed", range(200, 208), answered=3))
    return make_batch(scheduler.schedule(0.0))


def test_rows_are_tokens_at_their_positions() -> None:
    batch = mixed_batch()
    assert batch.starts.tolist() == [0, 1, 4, 20, 28]
    assert batch.tokens.tolist() == [50, 51, 71, 72, *range(100, 116), *range(200, 208)]
    assert batch.positions.tolist() == [2, 18, 19, 20, *range(16), *range(8)]


def test_the_length_is_the_prompt_as_a_whole_and_then_grows() -> None:
    assert mixed_batch().lengths.tolist() == [3, 19, 20, 21, *[40] * 16, 5, 5, 5, 5, 5, 6, 7, 8]


def test_the_last_row_of_a_prompt_and_all_of_a_draft_are_drawn() -> None:
    assert mixed_batch().draws.tolist() == [0, 1, 2, 3, 27]


def test_every_segment_has_blocks_of_its_own_for_its_tokens() -> None:
    batch = mixed_batch()
    assert batch.blocks.shape == (4, 2)
    needed = [
        set(row[: -(-length // BLOCK_SIZE)]) for row, length in zip(batch.blocks.tolist(), (3, 21, 16, 8), strict=True)
    ]
    assert [len(blocks) for blocks in needed] == [1, 2, 1, 1]
    assert len(set.union(*needed)) == 5
    assert batch.blocks.min() >= 0
    assert batch.blocks.max() < 16


def test_the_types_are_those_of_the_contract() -> None:
    batch = mixed_batch()
    assert [array.dtype for array in (batch.tokens, batch.positions, batch.lengths, batch.draws)] == [np.int64] * 4
    assert [array.dtype for array in (batch.starts, batch.blocks)] == [np.int32] * 2


def test_a_batch_does_not_change_with_the_tables() -> None:
    scheduler = Scheduler(4, 1, 32, step_tokens=40)
    scheduler.add(request("a", range(20)))
    step = scheduler.schedule(0.0)
    batch = make_batch(step)
    step.tables[:] = 3
    assert len(set(batch.blocks[0].tolist())) == 2


def test_an_empty_step_is_an_empty_batch() -> None:
    batch = make_batch(Scheduler(4, 1, 32, step_tokens=40).schedule(0.0))
    assert (len(batch.tokens), batch.starts.tolist(), len(batch.draws), batch.blocks.shape) == (0, [0], 0, (0, 0))

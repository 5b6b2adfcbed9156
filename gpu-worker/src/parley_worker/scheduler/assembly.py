"""From a step to the numbers that an executor takes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from parley_worker.kv.cache import blocks_for
from parley_worker.scheduler.batch import Batch
from parley_worker.scheduler.step import Step


class Rows(NamedTuple):
    """What `Batch` has in arrays, as lists: each operation of numpy that a step uses has to be fetched from memory, as
    the weights have gone through the caches since the step before.

    tables [S]: which of the step's tables has the blocks of a segment. longest: the tokens of the longest sequence.
    """

    tokens: list[int]
    positions: list[int]
    lengths: list[int]
    starts: list[int]
    draws: list[int]
    tables: list[int]
    longest: int


def list_rows(step: Step) -> Rows:
    """The rows of a step. Call it before the scheduler's next call."""
    tokens, positions, lengths, draws = list[int](), list[int](), list[int](), list[int]()
    starts, tables, longest = [0], list[int](), 0
    for segment in step.segments:
        begin, end, prompt = segment.start, segment.start + segment.length, segment.sequence.prompt
        tokens += segment.token_ids
        positions += range(begin, end)
        lengths += [prompt] * (min(prompt, end) - begin)
        lengths += range(max(prompt, begin) + 1, end + 1)
        draws += range(len(tokens) - segment.draws, len(tokens))
        starts.append(len(tokens))
        tables.append(segment.sequence.row)
        longest = max(longest, end)
    return Rows(tokens, positions, lengths, starts, draws, tables, longest)


def make_batch(step: Step) -> Batch:
    """The arrays of a step, which are not changed later. Call it before the scheduler's next call."""
    rows = list_rows(step)
    return Batch(
        tokens=np.array(rows.tokens, np.int64),
        positions=np.array(rows.positions, np.int64),
        lengths=np.array(rows.lengths, np.int64),
        starts=np.array(rows.starts, np.int32),
        blocks=step.tables[rows.tables, : blocks_for(rows.longest)],
        draws=np.array(rows.draws, np.int64),
    )

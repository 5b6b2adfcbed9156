"""From a step to the arrays that an executor takes."""

from __future__ import annotations

from itertools import chain

import numpy as np

from parley_worker.kv.cache import blocks_for
from parley_worker.scheduler.batch import Batch
from parley_worker.scheduler.step import Step


def make_batch(step: Step) -> Batch:
    """The arrays of a step, which are not changed later. Call it before the scheduler's next call."""
    return _decodes(step) if step.rows == step.draw_count == len(step.segments) else _mixed(step)


def _decodes(step: Step) -> Batch:
    """Of a row and a draw for each sequence, as most steps are: by few calls, as each finds the caches swept."""
    segments = step.segments
    ends = [segment.start + 1 for segment in segments]
    rows = [segment.sequence.row for segment in segments]
    return Batch(
        tokens=np.array([segment.token for segment in segments], np.int64),
        positions=np.array([segment.start for segment in segments], np.int64),
        lengths=np.array([max(segment.start + 1, segment.sequence.prompt) for segment in segments], np.int64),
        starts=np.array(range(len(segments) + 1), np.int32),
        blocks=step.tables[rows, : blocks_for(max(ends, default=0))],
        draws=np.array(range(len(segments)), np.int64),
    )


def _mixed(step: Step) -> Batch:
    """Of pieces of any length, some of which are not drawn from."""
    segments, count = step.segments, len(step.segments)
    lengths = np.fromiter((segment.length for segment in segments), np.int64, count)
    first = np.fromiter((segment.start for segment in segments), np.int64, count)
    prompts = np.fromiter((segment.sequence.prompt for segment in segments), np.int64, count)
    drawing = np.fromiter((segment.draws for segment in segments), np.int64, count)
    rows = np.fromiter((segment.sequence.row for segment in segments), np.intp, count)
    starts = np.zeros(count + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    positions = np.arange(step.rows) + np.repeat(first - starts[:-1], lengths)
    tokens = chain.from_iterable(segment.token_ids for segment in segments)
    width = blocks_for(int((first + lengths).max(initial=0)))
    return Batch(
        tokens=np.fromiter(tokens, np.int64, step.rows),
        positions=positions,
        lengths=np.maximum(positions + 1, np.repeat(prompts, lengths)),
        starts=starts.astype(np.int32),
        blocks=step.tables[rows, :width],
        draws=np.flatnonzero(np.arange(step.rows) >= np.repeat(starts[1:] - drawing, lengths)),
    )

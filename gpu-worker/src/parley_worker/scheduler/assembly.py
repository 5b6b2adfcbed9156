"""From a step to the arrays that an executor takes."""

from __future__ import annotations

import numpy as np

from parley_worker.kv.cache import blocks_for
from parley_worker.scheduler.batch import Batch
from parley_worker.scheduler.step import Step


def make_batch(step: Step) -> Batch:
    """The arrays of a step, which are not changed later. Call it before the scheduler's next call.

    Lists until the end: each operation of numpy that a step uses has to be fetched from memory, as the weights have
    gone through the caches since the step before.
    """
    tokens, positions, lengths, draws = list[int](), list[int](), list[int](), list[int]()
    starts, rows, longest = [0], list[int](), 0
    for segment in step.segments:
        begin, end, prompt = segment.start, segment.start + segment.length, segment.sequence.prompt
        tokens += segment.token_ids
        positions += range(begin, end)
        lengths += [prompt] * (min(prompt, end) - begin)
        lengths += range(max(prompt, begin) + 1, end + 1)
        draws += range(len(tokens) - segment.draws, len(tokens))
        starts.append(len(tokens))
        rows.append(segment.sequence.row)
        longest = max(longest, end)
    return Batch(
        tokens=np.array(tokens, np.int64),
        positions=np.array(positions, np.int64),
        lengths=np.array(lengths, np.int64),
        starts=np.array(starts, np.int32),
        blocks=step.tables[rows, : blocks_for(longest)],
        draws=np.array(draws, np.int64),
    )

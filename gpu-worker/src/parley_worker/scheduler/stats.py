"""What a step was, in numbers: for metrics."""

from __future__ import annotations

import msgspec


class StepStats(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Counts of one step, taken when its tokens are known.

    rounds: how often it was computed, each time with the tokens just drawn. Rows are those of all rounds:
    rows = decode_rows + prompt_rows; drafts count as decode rows. running and waiting are sequences after the step.
    Of blocks_total blocks, blocks_used are held by sequences and blocks_cached are kept for whoever comes with the
    same tokens; the rest is free. prefix_hits: tokens that were found in the cache instead of computed. preemptions:
    sequences that had to give their blocks back. drafts_accepted: proposed tokens that became part of an answer.
    """

    rounds: int
    rows: int
    decode_rows: int
    prompt_rows: int
    running: int
    waiting: int
    blocks_used: int
    blocks_cached: int
    blocks_total: int
    prefix_hits: int
    preemptions: int
    drafts_proposed: int
    drafts_accepted: int

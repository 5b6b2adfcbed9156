"""The port between a step and the arithmetic that computes it."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from parley_worker.scheduler.batch import Batch


class Executor(Protocol):
    """A model with the memory for its keys and values: `blocks` blocks of BLOCK_SIZE tokens.

    `execute` computes a batch, writes the keys and values of its rows into their blocks and returns the float32 scores
    [D, vocab_size] of its draws, which are the caller's to overwrite until the next call. Guarantees:
    - The keys and values of a segment depend on its own sequence alone; padding and what other sequences left in a
      block are never read, not even multiplied by zero: they may be infinite.
    - Numbers that are not finite come out as scores that are not finite, in the rows of that sequence alone.
    `invariant`: the scores of a row are the same bits whatever else is in the batch and however its sequence was cut
    into segments. `looks_ahead`: a batch may name tokens that the batch before it is still to draw.
    """

    blocks: int
    invariant: bool
    looks_ahead: bool

    def execute(self, batch: Batch) -> Tensor: ...

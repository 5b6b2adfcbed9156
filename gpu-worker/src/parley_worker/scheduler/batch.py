"""One step of the model as arrays: what a scheduler hands to an executor. numpy, no torch."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

BLOCK_SIZE = 16
"""Tokens whose keys and values share a block of the KV cache."""

Ints = NDArray[np.int64]
Int32s = NDArray[np.int32]


class Batch(msgspec.Struct, frozen=True, eq=False, gc=False):
    """R rows, one for each token to compute, in S segments: the next tokens of one sequence each, in order.

    tokens [R]: ids. An id below 0 is not known yet: -1 - d stands for what draw d of the batch before this one gave,
    which only an executor that `looks_ahead` is ever handed.
    positions [R]: where each token stands in its sequence, from 0.
    lengths [R]: how long the sequence was when transformers would have computed the row; see `Decoder.forward`.
    starts [S + 1]: the rows of segment s are starts[s] up to starts[s + 1].
    blocks [S, B]: the token at position p of segment s has its keys and values at p % BLOCK_SIZE of block
    blocks[s, p // BLOCK_SIZE]. All positions before the segment's are there already. What lies behind the last block
    that a segment needs is any valid block and is not read.
    draws [D]: the rows whose scores are wanted, ascending.
    """

    tokens: Ints
    positions: Ints
    lengths: Ints
    starts: Int32s
    blocks: Int32s
    draws: Ints

"""Causal attention of runs of rows, pieces of prompts, to the paged keys of their own sequences."""

from __future__ import annotations

import triton
import triton.language as tl

from parley_worker.cuda.kernels.span import attend_span


@triton.jit
def prefill_tiles(
    query,
    keys,
    values,
    output,
    tables,
    positions,
    tiles,
    header,
    scale,
    query_stride,
    page_stride,
    place_stride,
    head_stride,
    WINDOW: tl.constexpr,
    GROUP: tl.constexpr,
    BLOCK_M: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_N: tl.constexpr,
    PAGE: tl.constexpr,
    PRODUCT: tl.constexpr,
):
    """One tile of consecutive rows of a segment, for the GROUP query heads that share a kv head.

    tiles [n, 3]: segment, first row, number of rows, at most BLOCK_M // GROUP. The heads of a row lie side by side in
    the tile, so that one read of a key serves all of them. The keys of the segment's own rows are written already.
    """
    tile, kv_head = tl.program_id(0), tl.program_id(1)
    segment, row, count = tl.load(tiles + tile * 3), tl.load(tiles + tile * 3 + 1), tl.load(tiles + tile * 3 + 2)
    place = tl.arange(0, BLOCK_M)
    mine, head = place // GROUP, kv_head * GROUP + place % GROUP
    there = mine < count
    lanes = tl.arange(0, BLOCK_D)
    wanted = there[:, None] & (lanes < HEAD_DIM)[None, :]
    rows = (row + mine).to(tl.int64)
    q = tl.load(query + (rows * query_stride + head * HEAD_DIM)[:, None] + lanes[None, :], mask=wanted, other=0.0)
    first = tl.load(positions + row)
    begin = 0
    if WINDOW > 0:
        begin = tl.maximum(first + 1 - WINDOW, 0)
    mixed, _, total = attend_span(
        q.to(PRODUCT),
        first + tl.minimum(mine, count - 1),
        keys,
        values,
        kv_head,
        tables + segment.to(tl.int64) * tl.load(header),
        begin,
        first + count,
        scale,
        page_stride,
        place_stride,
        head_stride,
        WINDOW,
        HEAD_DIM,
        BLOCK_D,
        BLOCK_N,
        PAGE,
        PRODUCT,
    )
    heads = tl.num_programs(1) * GROUP
    result = (mixed / total[:, None]).to(output.dtype.element_ty)
    tl.store(output + ((rows * heads + head) * HEAD_DIM)[:, None] + lanes[None, :], result, mask=wanted)

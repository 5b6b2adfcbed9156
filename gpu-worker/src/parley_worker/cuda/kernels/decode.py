"""Attention of one row of each sequence to its paged keys, the long ones split between programs."""

from __future__ import annotations

import triton
import triton.language as tl

from parley_worker.cuda.kernels.span import attend_span


@triton.jit(do_not_specialize=["rows"])
def plan_splits(
    positions,
    firsts,
    owners,
    chunk,
    rows,
    kv_heads,
    programs,
    WINDOW: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_R: tl.constexpr,
):
    """Cut the keys of all rows into about programs / kv_heads splits of `chunk` tiles, longer rows into more.

    Read on the device, so that a captured graph fits all lengths. positions [rows]: where each row stands, -1 for
    padding. Written: firsts [rows + 1], the splits of row r are firsts[r] up to firsts[r + 1]; owners, the row of each
    split; chunk [1]. There are never more than rows + programs / kv_heads splits.
    """
    row = tl.arange(0, BLOCK_R)
    position = tl.load(positions + row, mask=row < rows, other=-1)
    tiles = (position + BLOCK_N) // BLOCK_N
    if WINDOW > 0:
        tiles -= tl.maximum(position + 1 - WINDOW, 0) // BLOCK_N
    share = tl.maximum(programs // kv_heads, 1)
    size = tl.maximum((tl.sum(tiles) + share - 1) // share, 1)
    splits = (tiles + size - 1) // size
    ends = tl.cumsum(splits)
    begins = ends - splits
    tl.store(firsts + row, begins, mask=row < rows)
    tl.store(firsts + rows, tl.sum(splits))
    tl.store(chunk, size)
    for index in range(0, tl.max(splits)):
        tl.store(owners + begins + index, row, mask=index < splits)


@triton.jit(do_not_specialize=["rows"])
def decode_splits(
    query,
    keys,
    values,
    output,
    partial_mixed,
    partial_peak,
    partial_total,
    tables,
    positions,
    firsts,
    owners,
    chunk,
    header,
    rows,
    scale,
    query_stride,
    page_stride,
    place_stride,
    head_stride,
    WINDOW: tl.constexpr,
    GROUP: tl.constexpr,
    BLOCK_G: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_N: tl.constexpr,
    PAGE: tl.constexpr,
    PRODUCT: tl.constexpr,
):
    """One split of one row for the GROUP query heads that share a kv head, so that its keys are read once.

    A row of one split is written to `output` [rows, heads, HEAD_DIM]; of others the partial sums are left to
    `combine_splits`. header [0] is the width of `tables`, on the device as it changes from step to step.
    """
    split, kv_head = tl.program_id(0), tl.program_id(1)
    if split >= tl.load(firsts + rows):
        return
    row = tl.load(owners + split)
    first, behind = tl.load(firsts + row), tl.load(firsts + row + 1)
    position, size = tl.load(positions + row), tl.load(chunk)
    tile = (split - first) * size
    floor = 0
    if WINDOW > 0:
        floor = tl.maximum(position + 1 - WINDOW, 0)
        tile += floor // BLOCK_N
    begin, end = tl.maximum(tile * BLOCK_N, floor), tl.minimum((tile + size) * BLOCK_N, position + 1)
    heads, lanes = tl.arange(0, BLOCK_G), tl.arange(0, BLOCK_D)
    wanted = (heads < GROUP)[:, None] & (lanes < HEAD_DIM)[None, :]
    place = (kv_head * GROUP + heads)[:, None] * HEAD_DIM + lanes[None, :]
    q = tl.load(query + row.to(tl.int64) * query_stride + place, mask=wanted, other=0.0).to(PRODUCT)
    mixed, peak, total = attend_span(
        q,
        tl.zeros([BLOCK_G], tl.int32) + position,
        keys,
        values,
        kv_head,
        tables + row.to(tl.int64) * tl.load(header),
        begin,
        end,
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
    all_heads = tl.num_programs(1) * GROUP
    if behind - first == 1:
        result = (mixed / total[:, None]).to(output.dtype.element_ty)
        tl.store(output + row.to(tl.int64) * all_heads * HEAD_DIM + place, result, mask=wanted)
    else:
        head = split * all_heads + kv_head * GROUP + heads
        tl.store(partial_mixed + split.to(tl.int64) * all_heads * HEAD_DIM + place, mixed, mask=wanted)
        tl.store(partial_peak + head, peak, mask=heads < GROUP)
        tl.store(partial_total + head, total, mask=heads < GROUP)


@triton.jit
def combine_splits(
    output,
    partial_mixed,
    partial_peak,
    partial_total,
    firsts,
    HEAD_DIM: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    """The softmax over all splits of a row from those of each, for one head. A row of one split is there already."""
    row, head, heads = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    first, behind = tl.load(firsts + row), tl.load(firsts + row + 1)
    if behind - first < 2:
        return
    lanes = tl.arange(0, BLOCK_D)
    mixed = tl.zeros([BLOCK_D], tl.float32)
    peak = tl.max(tl.full([BLOCK_S], float("-inf"), tl.float32), 0)
    total = tl.sum(tl.zeros([BLOCK_S], tl.float32), 0)
    for start in range(first, behind, BLOCK_S):
        splits = start + tl.arange(0, BLOCK_S)
        there = splits < behind
        index = splits.to(tl.int64) * heads + head
        peaks = tl.load(partial_peak + index, mask=there, other=float("-inf"))
        totals = tl.load(partial_total + index, mask=there, other=0.0)
        wanted = there[:, None] & (lanes < HEAD_DIM)[None, :]
        parts = tl.load(partial_mixed + index[:, None] * HEAD_DIM + lanes[None, :], mask=wanted, other=0.0)
        risen = tl.maximum(peak, tl.max(peaks, 0))
        level = tl.where(risen == float("-inf"), 0.0, risen)
        fades = tl.exp2(peaks - level)
        fade = tl.exp2(peak - level)
        mixed = mixed * fade + tl.sum(parts * fades[:, None], 0)
        total = total * fade + tl.sum(totals * fades, 0)
        peak = risen
    place = (row.to(tl.int64) * heads + head) * HEAD_DIM + lanes
    tl.store(output + place, (mixed / total).to(output.dtype.element_ty), mask=lanes < HEAD_DIM)

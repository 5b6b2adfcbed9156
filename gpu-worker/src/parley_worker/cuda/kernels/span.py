"""Attention of some rows to a span of one sequence's paged keys: the loop that decode and prefill share."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def attend_span(
    query,
    positions,
    keys,
    values,
    kv_head,
    table,
    begin,
    end,
    scale,
    page_stride,
    place_stride,
    head_stride,
    WINDOW: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_N: tl.constexpr,
    PAGE: tl.constexpr,
    PRODUCT: tl.constexpr,
):
    """The softmax of `query` [M, BLOCK_D] over the keys at positions from `begin` up to `end`, in parts.

    Online softmax in base 2 (Milakov and Gimelshein 2018; FlashAttention-2): mixed [M, BLOCK_D] is the weighted sum of
    values, peak [M] the greatest score, total [M] the sum of weights, all float32. `scale` has log2(e) in it.
    positions [M]: where each row stands; it sees itself and what is before, WINDOW back (0: all). keys and values:
    [pages, PAGE, heads, HEAD_DIM] with the strides given. PRODUCT: the type that is multiplied.
    """
    keys += kv_head.to(tl.int64) * head_stride
    values += kv_head.to(tl.int64) * head_stride
    mixed = tl.zeros(query.shape, tl.float32)
    peak = tl.full(positions.shape, float("-inf"), tl.float32)
    total = tl.zeros(positions.shape, tl.float32)
    lanes = tl.arange(0, BLOCK_D)
    inside = lanes < HEAD_DIM
    for start in range(begin, end, BLOCK_N):
        places = start + tl.arange(0, BLOCK_N)
        there = places < end
        pages = tl.load(table + places // PAGE, mask=there, other=0).to(tl.int64)
        rows = pages * page_stride + (places % PAGE) * place_stride
        # What is beyond the end is never read: a page holds what others left there, and zero times NaN is NaN.
        key = tl.load(keys + rows[None, :] + lanes[:, None], mask=inside[:, None] & there[None, :], other=0.0)
        scores = tl.dot(query, key.to(PRODUCT), input_precision="ieee") * scale
        visible = there[None, :] & (places[None, :] <= positions[:, None])
        if WINDOW > 0:
            visible = visible & (places[None, :] > positions[:, None] - WINDOW)
        scores = tl.where(visible, scores, float("-inf"))
        risen = tl.maximum(peak, tl.max(scores, 1))
        # A row that has seen nothing yet has no peak, and one infinity minus another is NaN.
        level = tl.where(risen == float("-inf"), 0.0, risen)
        weights = tl.exp2(scores - level[:, None])
        fade = tl.exp2(peak - level)
        value = tl.load(values + rows[:, None] + lanes[None, :], mask=there[:, None] & inside[None, :], other=0.0)
        mixed = mixed * fade[:, None] + tl.dot(weights.to(PRODUCT), value.to(PRODUCT), input_precision="ieee")
        total = total * fade + tl.sum(weights, 1)
        peak = risen
    return mixed, peak, total

"""What lies between the qkv product and attention, in one kernel: norm, rotation, keys and values into their pages."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def place_heads(
    qkv,
    norm,
    cos,
    sin,
    slots,
    query,
    keys,
    values,
    eps,
    page_stride,
    place_stride,
    head_stride,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    BLOCK_H: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    BLOCK_D: tl.constexpr,
    PAGE: tl.constexpr,
    NORM: tl.constexpr,
    ROTATE: tl.constexpr,
):
    """BLOCK_H heads of one row of qkv [rows, HEADS + 2 * KV_HEADS, HEAD_DIM].

    Queries and keys are normalized by `norm` [HEADS + KV_HEADS, HEAD_DIM] if NORM, and turned by cos and the signed sin
    [rows, HEAD_DIM] if ROTATE, in float32. Queries go to query [rows, HEADS, HEAD_DIM]; keys and values to place
    slot % PAGE of page slot // PAGE, and those of slot -1, padding, nowhere.
    """
    row = tl.program_id(0).to(tl.int64)
    head = (tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H))[:, None]
    lanes = tl.arange(0, BLOCK_D)[None, :]
    inside = (head < HEADS + 2 * KV_HEADS) & (lanes < HEAD_DIM)
    turning = inside & (head < HEADS + KV_HEADS)
    source = qkv + (row * (HEADS + 2 * KV_HEADS) + head) * HEAD_DIM
    x = tl.load(source + lanes, mask=inside, other=0.0).to(tl.float32)
    y = x
    if NORM:
        inverse = tl.rsqrt(tl.sum(x * x, 1) / HEAD_DIM + eps)[:, None]
        y = x * inverse * tl.load(norm + head * HEAD_DIM + lanes, mask=turning, other=0.0).to(tl.float32)
    if ROTATE:
        other = (lanes + HEAD_DIM // 2) % HEAD_DIM
        partner = tl.load(source + other, mask=turning, other=0.0).to(tl.float32)
        if NORM:
            partner *= inverse * tl.load(norm + head * HEAD_DIM + other, mask=turning, other=0.0).to(tl.float32)
        straight = tl.load(cos + row * HEAD_DIM + lanes, mask=lanes < HEAD_DIM, other=0.0)
        across = tl.load(sin + row * HEAD_DIM + lanes, mask=lanes < HEAD_DIM, other=0.0)
        y = y * straight + partner * across
    tl.store(
        query + (row * HEADS + head) * HEAD_DIM + lanes, y.to(query.dtype.element_ty), mask=inside & (head < HEADS)
    )
    slot = tl.load(slots + row).to(tl.int64)
    kv_head = (head - HEADS) % KV_HEADS
    place = (slot // PAGE) * page_stride + (slot % PAGE) * place_stride + kv_head * head_stride + lanes
    kept = inside & (head >= HEADS) & (slot >= 0)
    tl.store(keys + place, y.to(keys.dtype.element_ty), mask=kept & turning)
    tl.store(values + place, x.to(values.dtype.element_ty), mask=kept & (head >= HEADS + KV_HEADS))

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
    HEAD_DIM: tl.constexpr,
    BLOCK_D: tl.constexpr,
    PAGE: tl.constexpr,
    NORM: tl.constexpr,
    ROTATE: tl.constexpr,
):
    """One head of one row of qkv [rows, HEADS + 2 * KV_HEADS, HEAD_DIM].

    Queries and keys are normalized by `norm` [HEADS + KV_HEADS, HEAD_DIM] if NORM, and turned by cos and the signed sin
    [rows, HEAD_DIM] if ROTATE, in float32. Queries go to query [rows, HEADS, HEAD_DIM]; keys and values to place
    slot % PAGE of page slot // PAGE, and those of slot -1, padding, nowhere.
    """
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    lanes = tl.arange(0, BLOCK_D)
    inside = lanes < HEAD_DIM
    source = qkv + (row * (HEADS + 2 * KV_HEADS) + head) * HEAD_DIM
    x = tl.load(source + lanes, mask=inside, other=0.0).to(tl.float32)
    if head < HEADS + KV_HEADS:
        if ROTATE:
            other = (lanes + HEAD_DIM // 2) % HEAD_DIM
            partner = tl.load(source + other, mask=inside, other=0.0).to(tl.float32)
        if NORM:
            inverse = tl.rsqrt(tl.sum(x * x) / HEAD_DIM + eps)
            x = x * inverse * tl.load(norm + head * HEAD_DIM + lanes, mask=inside, other=0.0).to(tl.float32)
            if ROTATE:
                scale = tl.load(norm + head * HEAD_DIM + other, mask=inside, other=0.0).to(tl.float32)
                partner = partner * inverse * scale
        if ROTATE:
            straight = tl.load(cos + row * HEAD_DIM + lanes, mask=inside, other=0.0)
            across = tl.load(sin + row * HEAD_DIM + lanes, mask=inside, other=0.0)
            x = x * straight + partner * across
    if head < HEADS:
        tl.store(query + (row * HEADS + head) * HEAD_DIM + lanes, x.to(query.dtype.element_ty), mask=inside)
    else:
        slot = tl.load(slots + row).to(tl.int64)
        kv_head = (head - HEADS) % KV_HEADS
        place = (slot // PAGE) * page_stride + kv_head * head_stride + (slot % PAGE) * place_stride
        result = x.to(keys.dtype.element_ty)
        if head < HEADS + KV_HEADS:
            tl.store(keys + place + lanes, result, mask=inside & (slot >= 0))
        else:
            tl.store(values + place + lanes, result, mask=inside & (slot >= 0))

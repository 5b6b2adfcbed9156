"""Products with 8-bit weights, for few rows: what counts is to read each weight once."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["count"])
def multiply_narrow(
    rows,
    weight,
    scales,
    bias,
    output,
    count,
    outputs,
    BIAS: tl.constexpr,
    INPUTS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    PRODUCT: tl.constexpr,
):
    """output [count, outputs] = rows [count, INPUTS] @ weight.T * scales + bias, added up in float32.

    weight [outputs, INPUTS] is int8 or float8_e4m3fn, scales [outputs] float32: one for each output channel, so that
    they come after the sum. int8 and e4m3 are exact in bfloat16. PRODUCT: the type that is multiplied.
    """
    mine = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)
    channels = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    result = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    for start in range(0, INPUTS, BLOCK_K):
        lanes = start + tl.arange(0, BLOCK_K)
        inside = lanes < INPUTS
        x_mask = (mine < count)[:, None] & inside[None, :]
        x = tl.load(rows + mine.to(tl.int64)[:, None] * INPUTS + lanes[None, :], mask=x_mask, other=0.0)
        w_mask = (channels < outputs)[None, :] & inside[:, None]
        w = tl.load(weight + channels.to(tl.int64)[None, :] * INPUTS + lanes[:, None], mask=w_mask, other=0.0)
        result = tl.dot(x.to(PRODUCT), w.to(PRODUCT), result, input_precision="ieee")
    result *= tl.load(scales + channels, mask=channels < outputs, other=0.0)[None, :]
    if BIAS:
        result += tl.load(bias + channels, mask=channels < outputs, other=0.0).to(tl.float32)[None, :]
    place = mine.to(tl.int64)[:, None] * outputs + channels[None, :]
    wanted = (mine < count)[:, None] & (channels < outputs)[None, :]
    tl.store(output + place, result.to(output.dtype.element_ty), mask=wanted)
